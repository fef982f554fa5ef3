//! The columns that matter, found by their names. All others are carried along, but for those of an earlier results file.

use std::sync::Arc;

use crate::input::findings::error::{ColumnGaps, FoundColumns, InputError, MisnamedColumn};
use crate::input::findings::excerpt::Excerpt;
use crate::input::oddities::unicode::is_invisible;

/// Names that give the machine's own id, without case, spaces, `_` and `-`; the first that is there counts.
const MACHINE_BY_ID: [&str; 8] = [
    "machineid",
    "mdedeviceid",
    "deviceid",
    "id",
    "aaddeviceid",
    "azureaddeviceid",
    "entradeviceid",
    "microsoftentradeviceid",
];
/// Names that give the machine's name, when none of [`MACHINE_BY_ID`] is there.
const MACHINE_BY_NAME: [&str; 5] = ["computerdnsname", "devicename", "machinename", "hostname", "name"];
const TAG: [&str; 1] = ["tag"];
const ACTION: [&str; 1] = ["action"];
/// The second is also what exports call the value that they found.
const VALUE: [&str; 2] = ["value", STATE_VALUE];
const STATE_VALUE: &str = "devicevalue";

/// Whose a row is.
pub(in crate::input) const TENANT: [&str; 2] = ["tenant", "tenantid"];

/// The columns of machines' ids as people write them; the first that is there counts.
pub(crate) const MACHINE_BY_ID_WRITTEN: [&str; 8] = [
    "machineId",
    "MdeDeviceId",
    "Device ID",
    "Id",
    "aadDeviceId",
    "AzureADDeviceId",
    "Entra Device Id",
    "Microsoft Entra Device Id",
];
/// Names that differ from one of [`MACHINE_BY_ID`] by a letter, and mean something else.
const UNLIKE_IDS: [&str; 8] =
    ["deviceip", "machineip", "devicesid", "machinesid", "deviceuid", "machineuid", "deviceids", "machineids"];

/// No name of a column that matters is so long, however it is misspelled.
const NAME_MAXIMUM_BYTES: usize = 32;

/// Columns that people do not write, and exports of the portal, the API and advanced hunting have.
const OF_EXPORTS: [&str; 29] = [
    "machinetags",
    "tags",
    "healthstatus",
    "healthstate",
    "sensorhealthstate",
    "riskscore",
    "risklevel",
    "exposurelevel",
    "exposurescore",
    "rbacgroupname",
    "rbacgroupid",
    "onboardingstatus",
    "firstseen",
    "lastseen",
    "lastdeviceupdate",
    "osplatform",
    "osversion",
    "osbuild",
    "osprocessor",
    "osarchitecture",
    "agentversion",
    "lastipaddress",
    "lastexternalipaddress",
    "ipaddresses",
    "deviceips",
    "discoverysources",
    "isaadjoined",
    "managedby",
    "currentdevicevalue",
];

/// The columns that results add to those of the input.
pub(crate) const RESULT_COLUMNS: [&str; 11] = [
    "row",
    "status",
    "http_status",
    "error_code",
    "error_message",
    "attempts",
    "request_id",
    "before",
    "after",
    "finished_at",
    "run_id",
];
/// The columns that a verification adds.
pub(crate) const VERIFICATION_COLUMNS: [&str; 4] = ["row", "result", "found", "message"];
/// What goes before the name of an added column that the input has already.
const ADDED_PREFIX: &str = "result_";

/// The names of added columns beside those of an input: one that is there already, ignoring case, gets `result_` in front.
pub(crate) fn added_names(header: &[String], added: &[&str]) -> Vec<String> {
    let is_there = |name: &str| header.iter().any(|known| known.trim().eq_ignore_ascii_case(name));
    let free = |name: &&str| {
        let mut name = (*name).to_owned();
        while is_there(&name) {
            name.insert_str(0, ADDED_PREFIX);
        }
        name
    };
    added.iter().map(free).collect()
}

/// Whether a header's cell is the name of an added column, perhaps with `result_` in front.
pub(crate) fn is_added_name(cell: &str, added: &str) -> bool {
    let mut cell = cell.trim();
    while cell != added {
        let Some(rest) = cell.strip_prefix(ADDED_PREFIX) else { return false };
        cell = rest;
    }
    true
}

/// A column of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::input) struct Column {
    /// Where its cell stands in a record, from 0.
    pub(in crate::input) position: usize,
    /// Its name in the header, trimmed; shared with every problem of the column.
    pub(in crate::input) name: Arc<str>,
}

/// What a header must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::input) enum Needed<'n> {
    /// The machine, and what to do with it.
    Orders,
    /// The machine only: what to do, the command line says.
    Machines,
    /// A column of one of these names, which says whose a row is; the first that is there counts. Whoever reads the file
    /// may read every other column, too.
    Key(&'n [&'n str]),
}

/// The columns that rows are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::input) struct Columns {
    /// How many cells the header has.
    pub(super) count: usize,
    pub(in crate::input) machine: Column,
    /// Whether the machines' column is one of ids; then, perhaps, another one holds their names.
    pub(in crate::input) machine_by_id: bool,
    /// Other columns of ids, by rank: what is no id of this tenant there may be one here.
    pub(in crate::input) rivals: Vec<Column>,
    pub(in crate::input) names: Option<Column>,
    pub(in crate::input) tag: Option<Column>,
    pub(in crate::input) action: Option<Column>,
    pub(in crate::input) value: Option<Column>,
    /// A column that only exports have, where the values' column has the name that exports give to it.
    pub(in crate::input) state_beside: Option<Column>,
    /// A column that is called nearly like one that is not there.
    pub(in crate::input) misnamed: Option<MisnamedColumn>,
    /// Whether any column may be read, and not only those above.
    pub(super) all_are_read: bool,
    /// The positions of columns that tagfleet itself added to an earlier file, in ascending order.
    pub(in crate::input) own: Vec<usize>,
}

impl Columns {
    /// Finds the columns by the header, which stands on `line`.
    pub(super) fn find(header: &[String], line: u64, needed: Needed<'_>) -> Result<Self, InputError> {
        match needed {
            Needed::Orders => Self::of_rows(header, line, true),
            Needed::Machines => Self::of_rows(header, line, false),
            Needed::Key(names) => Self::with_key(header, line, names),
        }
    }

    /// The columns of a file of machines, whose rows say what to do with them, or do not.
    fn of_rows(header: &[String], line: u64, has_orders: bool) -> Result<Self, InputError> {
        let bare: Vec<String> = header.iter().map(|name| bare_name(name)).collect();
        let only = |kind: &'static str, names: &[&str]| only_column(header, &bare, line, kind, names);
        // Each by itself: one that does not count may yet be taken for the one that was meant.
        let every = |names: &[&str]| -> Result<Vec<Column>, InputError> {
            let columns = names.iter().map(|name| only("the machine", &[name]));
            Ok(columns.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        };
        let (by_id, by_name) = (every(&MACHINE_BY_ID)?, every(&MACHINE_BY_NAME)?);
        let names = by_name.into_iter().next();
        let machine_by_id = !by_id.is_empty();
        let machine = by_id.first().or(names.as_ref()).cloned();
        let ordered = |kind, names: &[&str]| if has_orders { only(kind, names) } else { Ok(None) };
        let (tag, action) = (ordered("the tag", &TAG)?, ordered("the action", &ACTION)?);
        let value = ordered("the value", &VALUE)?;
        let is_enough = !has_orders || value.is_some() || (tag.is_some() && action.is_some());
        let gaps = ColumnGaps {
            has_machine: machine.is_some(),
            has_tag: !has_orders || tag.is_some(),
            has_action: !has_orders || action.is_some(),
            has_value: !has_orders || value.is_some(),
            only_machines: !has_orders,
        };
        let mut misnamed = misnamed_columns(header, &bare, gaps);
        misnamed.extend(machine.as_ref().and_then(|machine| better_machine(header, &bare, machine)));
        let Some(machine) = machine.filter(|_| is_enough) else {
            return Err(InputError::MissingColumns { line, gaps, misnamed, found: FoundColumns::new(header) });
        };
        let misnamed = if misnamed.is_empty() { None } else { Some(misnamed.swap_remove(0)) };
        let column_at = |position: usize| Column {
            position,
            name: header.get(position).map_or_else(|| "".into(), |name| trimmed(name)),
        };
        let is_state = value.as_ref().is_some_and(|value| bare.get(value.position).is_some_and(|it| it == STATE_VALUE));
        let of_export = bare.iter().position(|name| OF_EXPORTS.contains(&name.as_str())).filter(|_| is_state);
        let rivals = by_id.into_iter().skip(1).collect();
        let own = own_columns(header);
        let (count, state_beside) = (header.len(), of_export.map(column_at));
        let all_are_read = false;
        Ok(Self {
            count,
            machine,
            machine_by_id,
            rivals,
            names,
            tag,
            action,
            value,
            state_beside,
            misnamed,
            all_are_read,
            own,
        })
    }

    /// The columns of a list that has no orders, and of which one column says whose a row is.
    fn with_key(header: &[String], line: u64, names: &[&str]) -> Result<Self, InputError> {
        let bare: Vec<String> = header.iter().map(|name| bare_name(name)).collect();
        let wanted: Vec<String> = names.iter().map(|name| bare_name(name)).collect();
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let Some(machine) = only_column(header, &bare, line, "the machine", &wanted)? else {
            let wanted = Excerpt::new(names.first().copied().unwrap_or_default());
            return Err(InputError::MissingKey { line, wanted, found: FoundColumns::new(header) });
        };
        Ok(Self {
            count: header.len(),
            machine,
            machine_by_id: false,
            rivals: Vec::new(),
            names: None,
            tag: None,
            action: None,
            value: None,
            state_beside: None,
            misnamed: None,
            all_are_read: true,
            own: Vec::new(),
        })
    }
    /// The machines' column and those that may be it in its place, as the second pass finds them.
    pub(in crate::input) fn of_machines(&self) -> Vec<Column> {
        let kept = |column: &Column| {
            let left_out = self.own.partition_point(|own| *own < column.position);
            Column { position: column.position - left_out, name: Arc::clone(&column.name) }
        };
        std::iter::once(&self.machine).chain(&self.rivals).map(kept).collect()
    }
}

/// The columns that are called nearly like one that is not there. Those of exports and of earlier results have their own
/// meaning, but for `tags` beside an action in what is no export.
fn misnamed_columns(header: &[String], bare: &[String], gaps: ColumnGaps) -> Vec<MisnamedColumn> {
    let missing = [
        (
            gaps.has_machine,
            &["machineId", "Device ID", "Device Name", "computerDnsName", "Machine Name", "Hostname"][..],
        ),
        (gaps.has_tag, &["tag"]),
        (gaps.has_action, &["action"]),
        (gaps.has_value, &["value", "deviceValue"]),
        (bare.iter().any(|name| TENANT.contains(&name.as_str())), &["tenant", "tenantId"]),
    ];
    let wanted = missing.iter().filter(|(is_there, _)| !is_there).flat_map(|(_, names)| *names);
    let wanted: Vec<(&'static str, String)> = wanted.map(|name| (*name, bare_name(name))).collect();
    let known = [&MACHINE_BY_ID[..], &MACHINE_BY_NAME, &TAG, &ACTION, &VALUE, &TENANT, &OF_EXPORTS];
    let is_export = bare.iter().any(|name| name != "tags" && OF_EXPORTS.contains(&name.as_str()));
    let is_meant = |bare: &str| bare == "tags" && gaps.has_action && !is_export;
    let is_known = |bare: &str| known.iter().any(|names| names.contains(&bare)) && !is_meant(bare);
    let is_own =
        |cell: &str| RESULT_COLUMNS.iter().chain(&VERIFICATION_COLUMNS).any(|added| is_added_name(cell, added));
    // What is much longer than any name is none, and comparing takes time.
    let is_short = |bare: &str| bare.len() <= NAME_MAXIMUM_BYTES;
    let columns = header.iter().zip(bare).enumerate();
    let unknown = columns.filter(|(_, (cell, bare))| is_short(bare) && !is_known(bare) && !is_own(cell));
    let misnamed = unknown.filter_map(|(position, (cell, bare))| {
        let length = bare.chars().count();
        let near = wanted.iter().filter_map(|(name, wanted)| {
            // One letter of a short name, two of a long one. Most differ by more in length alone.
            let most = if name.len() < 8 { 1 } else { 2 };
            let may_be_near = length.abs_diff(wanted.chars().count()) <= most;
            let distance = may_be_near.then(|| strsim::osa_distance(bare, wanted))?;
            (distance <= most).then_some((distance, *name))
        });
        let (_, name) = near.min_by_key(|(distance, _)| *distance)?;
        Some(MisnamedColumn { found: FoundColumns::one(position, cell), name })
    });
    misnamed.collect()
}

/// A column whose name is but a letter from one that would count before the machines' column: the ids that it holds would be
/// carried along unread, and machines be found by something else.
fn better_machine(header: &[String], bare: &[String], machine: &Column) -> Option<MisnamedColumn> {
    let taken = bare.get(machine.position)?;
    let better = MACHINE_BY_ID.iter().zip(MACHINE_BY_ID_WRITTEN).take_while(|(name, _)| *name != taken);
    let is_known = |bare: &str| MACHINE_BY_ID.contains(&bare) || UNLIKE_IDS.contains(&bare);
    header.iter().zip(bare).enumerate().filter(|(_, (_, bare))| !is_known(bare)).find_map(|(position, (cell, bare))| {
        let is_near = |name: &str| {
            let lengths_fit = name.len() >= "deviceid".len() && bare.len().abs_diff(name.len()) <= 1;
            lengths_fit && strsim::osa_distance(bare, name) == 1
        };
        let (_, name) = better.clone().find(|(name, _)| is_near(name))?;
        Some(MisnamedColumn { found: FoundColumns::one(position, cell), name })
    })
}

fn only_column(
    header: &[String],
    bare: &[String],
    line: u64,
    kind: &'static str,
    names: &[&str],
) -> Result<Option<Column>, InputError> {
    for name in names {
        let mut matching = header.iter().zip(bare).enumerate().filter(|(_, (_, bare))| bare.as_str() == *name);
        let Some((position, (cell, _))) = matching.next() else { continue };
        if let Some((second_position, (second, _))) = matching.next() {
            return Err(InputError::DuplicateColumns {
                line,
                kind,
                first: FoundColumns::one(position, cell),
                second: FoundColumns::one(second_position, second),
            });
        }
        return Ok(Some(Column { position, name: trimmed(cell) }));
    }
    Ok(None)
}

/// The positions of columns that stand beside each other as tagfleet adds them.
fn own_columns(header: &[String]) -> Vec<usize> {
    let mut own = Vec::new();
    for added in [&RESULT_COLUMNS[..], &VERIFICATION_COLUMNS[..]] {
        for (start, window) in header.windows(added.len()).enumerate() {
            if window.iter().zip(added).all(|(cell, name)| is_added_name(cell, name)) {
                own.extend(start..start + added.len());
            }
        }
    }
    own.sort_unstable();
    own
}

fn trimmed(cell: &str) -> Arc<str> {
    trim_name(cell).into()
}

/// White space, and a byte order mark that was left when files were joined.
fn trim_name(cell: &str) -> &str {
    cell.trim_matches(|character: char| character.is_whitespace() || is_invisible(character))
}

/// A column's name in the form in which all its spellings are the same: without case, blanks, `_` and `-`.
pub(crate) fn bare_name(cell: &str) -> String {
    cell.chars()
        .filter(|it| !it.is_whitespace() && !matches!(it, '_' | '-') && !is_invisible(*it))
        .map(|character| character.to_ascii_lowercase())
        .collect()
}

/// Whether a cell holds the name of its column. Nearly every cell is longer or shorter, and not looked at closely.
pub(super) fn repeats_name(cell: &str, name: &str) -> bool {
    let may_be = cell.len() >= name.len() && cell.len() <= name.len() + 16;
    may_be && trim_name(cell).eq_ignore_ascii_case(name)
}

/// Whether a record says the same as the header, so that it is one of a file that was joined to another.
pub(super) fn repeats<'c>(header: &[String], cells: impl Iterator<Item = &'c str>) -> bool {
    let mut cells = cells.map(trim_name);
    let mut named = header.iter().map(|name| trim_name(name));
    loop {
        match (named.next(), cells.next()) {
            (None, None) => return true,
            (Some(name), Some(cell)) if name.eq_ignore_ascii_case(cell) => {}
            // Empty cells at the end may be left out, or be added.
            (Some(""), None) | (None, Some("")) => {}
            _ => return false,
        }
    }
}
