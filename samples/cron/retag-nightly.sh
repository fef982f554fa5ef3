#!/bin/sh
# Applies the file that waits in a directory, unattended: for cron, or for the systemd timer beside this script.
#
#   retag-nightly.sh DIRECTORY [OPTION...]
#
# DIRECTORY/retag.csv    what to apply. Put it there by renaming, so that it is never seen half written.
# DIRECTORY/pending.csv  what is being applied, or what a night that was too short left over. It comes first.
# DIRECTORY/done/        inputs, results and summaries, named by the time of the run.
# DIRECTORY/refused/     inputs that were refused as a whole; mend them and put them back as retag.csv.
#
# The options go to tagfleet: --deadline 06:00, --client-secret-file FILE, or --sandbox for a rehearsal. Secrets come
# from files or from the environment, never from the command line, which every user of the computer can read.
#
# Silent when everything is applied or nothing waits. Otherwise it says why on standard error, where cron mails it and
# the journal keeps it, and ends with tagfleet's exit status. One at a time: systemd sees to that; under cron, start it
# by `flock -n DIRECTORY/lock retag-nightly.sh DIRECTORY ...`.
set -eu
umask 077

if [ "$#" -eq 0 ] || [ ! -d "$1" ]; then
    echo "usage: retag-nightly.sh DIRECTORY [OPTION...]" >&2
    exit 2
fi
directory=$1
shift
pending=$directory/pending.csv
run=$directory/done/$(date -u +%Y%m%dT%H%M%SZ)
mkdir -p "$directory/done" "$directory/refused"

say() {
    echo "retag-nightly: $*" >&2
}

# What this run did not get done takes the place of its input, for the next run.
keep_the_rest() {
    if [ -f "$run.failed.csv" ]; then
        cp "$pending" "$run.csv"
        mv "$run.failed.csv" "$pending"
    fi
}

if [ ! -e "$pending" ]; then
    [ -e "$directory/retag.csv" ] || exit 0
    mv "$directory/retag.csv" "$pending"
fi

# A stop request reaches tagfleet too, which then awaits its calls in flight. This script must outlive it.
trap : HUP INT TERM

status=0
tagfleet apply "$pending" -o "$run.results.csv" --yes --json -q "$@" >"$run.json" || status=$?
[ -s "$run.json" ] || rm -f "$run.json"

case $status in
0)
    mv "$pending" "$run.csv"
    ;;
1)
    mv "$pending" "$run.csv"
    say "finished, but not every row succeeded; look at $run.failed.csv"
    ;;
3)
    mv "$pending" "$directory/refused/${run##*/}.csv"
    say "the input was refused and nothing was sent; mend $directory/refused/${run##*/}.csv"
    ;;
4)
    keep_the_rest
    say "the service refused the sign-in or the permission ($run.json says which); what is left waits in $pending"
    ;;
5)
    keep_the_rest
    say "stopped early ($run.json says why); the next run goes on with $pending"
    ;;
6)
    say "another run is in the way; the next run tries $pending again"
    ;;
*)
    # 2: options or environment; 7: disk; 70: a bug; above 128: killed. To repeat the whole file does no harm.
    say "tagfleet ended with status $status; $pending stays for the next run"
    ;;
esac
exit "$status"
