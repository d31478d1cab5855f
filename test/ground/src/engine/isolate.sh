# The first process of the engine's own process and mount namespaces: when it ends, the kernel ends every
# process below it and drops every mount made here, whoever made them.
#
# usage: <run folder>  <size of the RAM disk, or ->  <command …>
set -e
run=$1 size=$2
shift 2

mkdir -p "$run/data" "$run/private"
[ "$size" = - ] || mount -t tmpfs -o "size=$size,mode=711" tmpfs "$run/data"

# containerd and runc keep sockets and plugin folders at fixed places there. They see what the machine has,
# and what they write stays in here.
mount -t tmpfs -o size=64m,mode=711 tmpfs "$run/private"
for folder in /run /opt; do
    [ -d "$folder" ] || continue
    mkdir -p "$run/private$folder/upper" "$run/private$folder/work"
    mount -t overlay -o "lowerdir=$folder,upperdir=$run/private$folder/upper,workdir=$run/private$folder/work" overlay "$folder"
done

# Not `exec`: as the first process a shell collects ended children that lost their parent, the daemons do not.
"$@" &
wait $!
