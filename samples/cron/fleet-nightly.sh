#!/bin/sh
# Keeps a fleet as a file of rules declares it, unattended: for cron, or for a systemd timer.
#
#   fleet-nightly.sh FLEET.toml RESULTS.csv [OPTION...]
#
# FLEET.toml             the file of rules; its lookups are named from where it is. Put new ones there by renaming, so that
#                        they are never seen half written.
# RESULTS.csv            what became of everything that the rules give or take off; written anew each night, the night
#                        before stays beside it as RESULTS.<its run>.csv until somebody takes it away
#
# The options go to tagfleet: --client-secret-file FILE, --deadline 06:00, or --sandbox for a rehearsal. Silent when the fleet is
# as declared, or was made so. Otherwise tagfleet says on standard error what needs attention: cron mails that. Status 1 with
# rows that are withheld means that more tags would have been taken off than the guard of the file allows; look at
# "tagfleet plan FLEET.toml", and let them go once with --allow-removals N. Status 3 is a list or a lookup that is not to be
# believed, or a fault in the file: nothing was changed.
set -eu
umask 077

if [ "$#" -lt 2 ]; then
    echo "usage: fleet-nightly.sh FLEET.toml RESULTS.csv [OPTION...]" >&2
    exit 2
fi
fleet=$1
results=$2
shift 2
exec tagfleet apply "$fleet" -o "$results" --yes -q "$@"
