# program: git: commits, log -p, clone, branches, merge, gc, fsck in a new repository
# packages: git
# needs: git
run() {
    export GIT_AUTHOR_DATE='2001-02-03T04:05:06Z' GIT_COMMITTER_DATE='2001-02-03T04:05:06Z' GIT_CONFIG_NOSYSTEM=1
    git config --global user.name Name
    git config --global user.email name@example.org
    git config --global init.defaultBranch main
    git config --global gc.auto 0
    git init -q repo
    cd repo || return 1
    for i in 1 2 3 4 5 6 7 8; do
        seq 1 $((i * 50)) >numbers
        echo "text $i" >file$i
        git add -A && git commit -q -m "commit $i"
    done
    git checkout -q -b side HEAD~3 && echo side >side && git add side && git commit -q -m side
    git checkout -q main && git merge -q -m merge side
    git log -p --stat --graph | sha256sum
    git log --oneline | head -4
    git gc -q
    git fsck --full 2>&1
    cd ..
    git clone -q repo copy 2>&1
    git -C copy log --format='%h %s' | wc -l
    git -C copy diff HEAD~2 --stat
    git -C copy grep -n text | head -3
    git -C copy blame -s file3
    git -C copy status --short --branch
}
after() { git -C copy rev-parse HEAD; }
