// hazard: a program without any library: the initial registers and stack are the kernel's, exit by system call.
// flags: -nostdlib -static -no-pie
// tiers: interp
// ends: exit 9
        .globl  _start
_start: or      %rdx, %rbx              # all zero at the start
        or      %rcx, %rbx
        or      %rbp, %rbx
        or      %rsi, %rbx
        or      %r8, %rbx
        or      %r15, %rbx
        jnz     bad
        test    $15, %rsp
        jnz     bad
        cmpq    $1, (%rsp)
        jne     bad
        pushfq
        pop     %rax
        cmp     $0x202, %eax
        mov     $1, %eax
        mov     $1, %edi
        lea     text(%rip), %rsi
        mov     $6, %edx
        syscall
        mov     $231, %eax
        mov     $9, %edi
        syscall
bad:    mov     $231, %eax
        mov     $1, %edi
        syscall
        .section .rodata
text:   .ascii  "hello\n"
