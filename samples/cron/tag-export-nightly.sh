#!/bin/sh
# Tags the machines of an exported list that a filter selects, unattended: for cron, or for a systemd timer.
#
#   tag-export-nightly.sh EXPORT FILTER TAG [OPTION...]
#
# EXPORT  a device list of the portal, of Intune or of Entra, as CSV or .xlsx, or @tenant for the tenant's own list.
# FILTER  a file that says which of its rows are meant ("tagfleet help filters"), such as samples/servers.kql.
# TAG     what they get. Machines that have it cost no call.
#
# The options go to tagfleet: --client-secret-file FILE, or --sandbox for a rehearsal. The results are written beside the
# export. A list that is older than 36 hours, one without rows, and one that would change more than 30% of the tenant's
# machines and more than 100 are refused with status 3: somebody has to look.
#
# Silent when all is as it should be. It ends with tagfleet's exit status.
set -eu
umask 077

if [ "$#" -lt 3 ]; then
    echo "usage: tag-export-nightly.sh EXPORT FILTER TAG [OPTION...]" >&2
    exit 2
fi
export=$1
filter=$2
tag=$3
shift 3

# Of a list that is not there tagfleet says so itself.
if [ "$export" != @tenant ] && [ -e "$export" ] && [ -z "$(find "$export" -mmin -2160)" ]; then
    echo "tag-export-nightly: $export is older than 36 hours; nothing was sent" >&2
    exit 3
fi
exec tagfleet apply "$export" --where-file "$filter" --add "$tag" --guard-changes 30%,100 --yes -q "$@"
