# shellcheck shell=sh
# Stops what a dead parent left running. Run by stack/watchdog.rs with `sh -c`; the parent writes lines to its standard input:
#   add PID SIGNAL   a process group the parent started, and the signal that stops it well
#   del PID          it has ended
#   dir PATH         a scratch folder to remove at the end
# End of file means that the parent is gone, however it went (return, panic, kill -9).
trap '' HUP INT TERM
groups=
dirs=
newline='
'
while read -r verb what; do
  case $verb in
    add) groups="$what$newline$groups" ;; # newest first: programs stop before the servers they use
    del) groups=$(printf '%s' "$groups" | grep -v "^$what ") ; groups="$groups$newline" ;;
    dir) dirs="$dirs$what$newline" ;;
  esac
done

alive() { # is any group of the list left?
  for pid in $(printf '%s' "$groups" | cut -d' ' -f1); do
    kill -s 0 -- "-$pid" 2>/dev/null && return 0
  done
  return 1
}

printf '%s' "$groups" | while read -r pid signal; do
  [ -n "$pid" ] && kill -s "$signal" -- "-$pid" 2>/dev/null
done
tries=0
while alive && [ "$tries" -lt 100 ]; do
  sleep 0.1
  tries=$((tries + 1))
done
for pid in $(printf '%s' "$groups" | cut -d' ' -f1); do
  kill -s KILL -- "-$pid" 2>/dev/null
done
printf '%s' "$dirs" | while IFS= read -r path; do
  rm -rf -- "$path"
done
exit 0
