#!/bin/sh
# Applies the files that wait in a directory, unattended: for cron, or for the systemd timer beside this script.
#
#   retag-nightly.sh DIRECTORY [OPTION...]
#
# DIRECTORY/*.csv        what to apply, one file after the other in the order of their names. Put a file there by renaming,
#                        so that it is never seen half written. Files that a night was too short for stay.
# DIRECTORY/done/        inputs, results and summaries, named by the time of the run.
# DIRECTORY/refused/     inputs that were refused as a whole; fix them and put them back. Where one of its name is there already,
#                        an input gets the time before its name.
#
# The options go to tagfleet: --client-secret-file FILE, --profile NAME, or --sandbox for a rehearsal; none that leaves rows
# for another time, as --limit does, and no second profile. Secrets come from files or from the environment, never from the
# command line, which every user of the computer can read. --deadline 06:00, or 8h, counts for the night as a whole: after it
# no call starts, and no further file is begun. It needs GNU date.
#
# Silent when everything is applied or nothing waits. Otherwise it says on standard error what became of each file, why,
# and where its rows and its summary are; cron mails that and the journal keeps it. It ends with the gravest of tagfleet's
# exit statuses. One at a time: systemd sees to that; under cron, start it by
# `flock -n -E 6 DIRECTORY/lock retag-nightly.sh DIRECTORY ...`, so that 6 means here what it means to tagfleet.
set -eu
umask 077

if [ "$#" -eq 0 ] || [ ! -d "$1" ]; then
    echo "usage: retag-nightly.sh DIRECTORY [OPTION...]" >&2
    exit 2
fi
directory=$1
shift
mkdir -p "$directory/done" "$directory/refused"
messages=$(mktemp)
trap 'rm -f "$messages"' EXIT

# A stop request from systemd or a terminal reaches tagfleet too, which then awaits its calls in flight. This script must
# outlive it, and begin nothing more. One to this script alone lets the file under way come to its end.
stopped=
trap 'stopped=yes' HUP INT TERM

say() {
    echo "retag-nightly: $*" >&2
}

# The moment that a deadline means, in seconds. A time of day that passed less than 6 hours ago is refused, as tagfleet
# does: whoever is late does not mean tomorrow, and who does says "tomorrow 06:00".
moment_of() {
    now=$(date +%s)
    case $1 in
    *[!0-9a-z:\ ]* | '') end= ;;
    *:*)
        end=$(date -d "$1" +%s 2>/dev/null) || end=
        if [ -n "$end" ] && [ "$end" -le "$now" ]; then
            if [ "$((now - end))" -lt 21600 ]; then
                say "--deadline $1 has just passed; nothing was sent (\"tomorrow $1\" is taken, too)"
                exit 2
            fi
            end=$(date -d "tomorrow $1" +%s)
        fi
        ;;
    *)
        case ${1%[smh]} in *[!0-9]* | '') length= ;; *) length=${1%[smh]} ;; esac
        case $1 in
        *s) end=${length:+$((now + length))} ;;
        *m) end=${length:+$((now + length * 60))} ;;
        *h) end=${length:+$((now + length * 3600))} ;;
        *) end= ;;
        esac
        ;;
    esac
    if [ -z "$end" ]; then
        say "--deadline takes 06:00, \"tomorrow 06:00\", 30m or 8h here, and not \"$1\"; nothing was sent"
        exit 2
    fi
    echo "$end"
}

# A file is done or not, and its results have one name; that is for one tenant.
one_profile_alone() {
    say "each profile needs a directory of its own, and so a call of its own; nothing was sent"
    exit 2
}

# Takes the deadline out of the options, since each file has only what the others left of the night.
end_of_night=
profiles=
count=$#
while [ "$count" -gt 0 ]; do
    case $1 in
    --deadline)
        end_of_night=$(moment_of "${2:-}")
        shift
        count=$((count - 1))
        ;;
    --deadline=*) end_of_night=$(moment_of "${1#--deadline=}") ;;
    --limit | --limit=*)
        say "--limit leaves rows for another time, and a file that is done is put away; nothing was sent"
        exit 2
        ;;
    --all-profiles) one_profile_alone ;;
    --profile)
        profiles="$profiles,${2:-}"
        set -- "$@" "$1"
        ;;
    --profile=*)
        profiles="$profiles,${1#--profile=}"
        set -- "$@" "$1"
        ;;
    *) set -- "$@" "$1" ;;
    esac
    shift
    count=$((count - 1))
done

profiles=${profiles:-,${TAGFLEET_PROFILE:-}}
case ${profiles#,} in *,*) one_profile_alone ;; esac

# Of two statuses the one that counts, in tagfleet's own order. One that is not its own, of a program that was killed or
# is not there at all, counts most.
graver() {
    case $2 in 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 70) ;; *)
        echo "$2"
        return
        ;;
    esac
    for one in 70 7 2 3 4 6 5 1 0; do
        if [ "$1" -eq "$one" ] || [ "$2" -eq "$one" ]; then
            echo "$one"
            return
        fi
    done
    echo "$1"
}

# Applies one file and puts it where it belongs.
apply() {
    file=$1
    shift
    name=$(basename "$file" .csv)
    run=$directory/done/$(date -u +%Y%m%dT%H%M%SZ)-$name
    status=0
    tagfleet apply "$file" -o "$run.results.csv" --yes --json -q "$@" >"$run.json" 2>"$messages" || status=$?
    case $status in
    0)
        mv "$file" "$run.csv"
        return
        ;;
    1)
        mv "$file" "$run.csv"
        say "$name.csv is done, but not every row succeeded; $run.results.csv says why, $run.failed.csv holds the rows"
        ;;
    3)
        refused=$directory/refused/$name.csv
        [ ! -e "$refused" ] || refused=$directory/refused/${run##*/}.csv
        mv "$file" "$refused"
        say "$name.csv was refused and nothing was sent; fix $refused and put it back as $name.csv"
        ;;
    4)
        say "$name.csv was stopped: the service refused the sign-in or the permission; the next run goes on with it"
        ;;
    5)
        say "$name.csv was stopped early; the next run goes on with it"
        ;;
    6)
        say "another run is in the way of $name.csv; the next run tries again"
        ;;
    *)
        # 2: options or environment; 7: disk; 70: a bug; above 128: killed. To repeat the whole file does no harm.
        say "tagfleet ended with status $status; $name.csv stays for the next run"
        ;;
    esac
    say "its summary is $run.json, and it said:"
    cat "$messages" >&2
}

gravest=0
last=
for file in "$directory"/*.csv; do
    # No file at all leaves the pattern itself.
    [ -e "$file" ] || continue
    if [ -n "$stopped" ]; then
        say "${last##*/} was the last one of this night; ${file##*/} and what comes after it wait for the next one"
        gravest=$(graver "$gravest" 5)
        break
    fi
    last=$file
    if [ -z "$end_of_night" ]; then
        apply "$file" "$@"
    elif [ "$end_of_night" -gt "$(date +%s)" ]; then
        apply "$file" --deadline "$((end_of_night - $(date +%s)))s" "$@"
    else
        say "the night is over; ${file##*/} and what comes after it wait for the next one"
        gravest=$(graver "$gravest" 5)
        break
    fi
    gravest=$(graver "$gravest" "$status")
    # What stops one file by itself leaves the others; what is wrong with sign-in, options or disk does not.
    case $status in 0 | 1 | 3 | 5 | 6) ;; *) stopped=yes ;; esac
done
exit "$gravest"
