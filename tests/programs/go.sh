# program: a Go binary: goroutines, channels, preemption by signals, maps, panics, garbage collection
# packages: golang-go
# needs: go
prepare() {
    cat >main.go <<'END'
package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sort"
	"strings"
	"sync"
	"time"
)

func fib(n int) int {
	if n < 2 {
		return n
	}
	return fib(n-1) + fib(n-2)
}

func main() {
	fmt.Println(fib(30))
	c := make(chan int)
	var wg sync.WaitGroup
	for i := 0; i < 100; i++ {
		wg.Add(1)
		go func(n int) {
			defer wg.Done()
			for k := 0; k < 200; k++ {
				c <- n * k
			}
		}(i)
	}
	go func() { wg.Wait(); close(c) }()
	s := 0
	for v := range c {
		s += v
	}
	fmt.Println(s)
	m := map[string]int{}
	for i := 0; i < 100000; i++ {
		m[fmt.Sprint("k", i%1000)] += i
	}
	keys := make([]string, 0)
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	fmt.Println(len(keys), keys[500], m[keys[500]])
	done := make(chan bool)
	var stop int32
	go func() { time.Sleep(20 * time.Millisecond); runtime.GC(); done <- true }()
	go func() {
		for stop == 0 { // never yields by itself: the scheduler preempts it by a signal
		}
	}()
	<-done
	func() {
		defer func() { fmt.Println("recovered:", recover()) }()
		var p *int
		*p = 1
	}()
	func() {
		defer func() { fmt.Println("recovered:", recover()) }()
		fmt.Println(1 / len(os.Args[1:]))
	}()
	fmt.Printf("%x\n", sha256.Sum256([]byte(strings.Repeat("go", 10000))))
	out, err := exec.Command("sh", "-c", "echo child; exit 2").Output()
	fmt.Printf("%q %v\n", out, err)
	os.Exit(4)
}
END
    HOME=$PWD GOCACHE=$CACHE/go GOFLAGS= GO111MODULE=off go build -o program main.go
}
run() {
    ./program
    echo "status $?"
}
