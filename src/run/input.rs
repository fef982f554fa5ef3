//! Reading the input for a command: where it is, what is wrong with it, what it comes to.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Desk;
use super::planning::more_tags;
use super::tenant::Tenant;
use crate::api::Transport;
use crate::exit::{CommandError, ExitStatus};
use crate::filter::Filter;
use crate::input::{
    ColumnChange, Doubt, Excerpt, InputError, InputOptions, MachineFields, Orders, Problem, Sheet, WorkbookError,
    is_of_machine, names_machine_fields, read_selected,
};
use crate::model::{MachineReference, Requests, RowNumber, Tag};
use crate::outside::shown;
use crate::plan::identity::OrderedDigest;
use crate::plan::operations::{Conflict, Operations};
use crate::plan::resolution::Resolution;
use crate::report::{ListBuilder, ListedFields, Screen};
use crate::rules::Account;
use crate::store::Declared;
use crate::words::{counted, group_digits, selected_rows};

/// The most contradictions that are listed.
const LISTED_CONFLICTS: usize = 5;

/// The name of the tenant's own list, where a file could be named.
pub(crate) const TENANT_INPUT: &str = "@tenant";

/// Opens the bytes of an input; called once, on a thread that may block.
pub(crate) type OpenInput = Box<dyn FnOnce() -> io::Result<Box<dyn Read>> + Send>;

/// Where the rows of an input come from.
pub(crate) enum InputSource {
    /// These bytes.
    Bytes(OpenInput),
    /// The tenant's own list, as it is read now.
    Tenant,
}

/// An input, and how it is to be read.
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that the user decides about the file")]
pub(crate) struct InputOrder {
    /// The name in messages.
    pub(crate) name: String,
    /// The name in the database: the same file has the same name wherever it is named from.
    pub(crate) path: String,
    /// Whether the same path is the same input next time; it is not for standard input.
    pub(crate) is_file: bool,
    /// Its rows.
    pub(crate) source: InputSource,
    /// Which rows are meant; all of them without a filter.
    pub(crate) filter: Option<NamedFilter>,
    /// How they are decoded.
    pub(crate) options: InputOptions,
    /// Whether the valid rows of a file are run that has bad ones.
    pub(crate) skip_invalid: bool,
    /// Whether a file without rows is done, and no mistake.
    pub(crate) allow_empty: bool,
    /// Whether machines may be named; without an inventory there is nothing to look their names up in.
    pub(crate) names_allowed: bool,
}

/// What begins the digest of a run whose changes stood on the command line.
const ORDERED: &str = "ordered-";
/// What is digested of the tenant's list, which is another one as soon as something is done.
const TENANTS_LIST: &str = "list";

/// What makes two command lines the same of which the one says which rows of an input are meant. What is selected may hang
/// on the time and on the tenant, so that the same command may mean other rows the next time.
pub(super) struct OrderDigest {
    /// Where the rows come from, and what the command line says of them.
    order: String,
    /// What stands there; nothing before that is read.
    content: String,
}

impl OrderDigest {
    /// Of an input that a filter, or changes on the command line, say more of.
    fn of(path: &str, filter: Option<&NamedFilter>, orders: Option<&Orders>) -> Option<Self> {
        let filter = filter.map(|filter| filter.filter.text());
        let order = match (filter, orders) {
            (None, None) => return None,
            (Some(filter), None) => OrderedDigest::of(&(path, filter)),
            (filter, Some(orders)) => {
                format!("{ORDERED}{}", OrderedDigest::of(&(path, filter, orders.options())))
            }
        };
        Some(Self { order, content: String::new() })
    }

    /// Whether the command line said what the run was to change, in the digest of a run: its rows do not say it.
    pub(super) fn says_changes(digest: &str) -> bool {
        digest.starts_with(ORDERED)
    }

    /// The digest of a run that began with these rows.
    pub(super) fn text(&self) -> String {
        format!("{}:{}", self.order, self.content)
    }

    /// The digest of a run that never knew what becomes of its rows.
    pub(super) fn without_content(&self) -> String {
        format!("{}:", self.order)
    }

    /// The order in the digest of a run, if it is one of a command line.
    pub(super) fn order_of(digest: &str) -> Option<&str> {
        digest.split_once(':').map(|(order, _content)| order)
    }
}

/// Digests what is read through it.
struct Digesting<R> {
    bytes: R,
    digest: Sha256,
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        self.digest.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// A filter and where it stands, for messages.
pub(crate) struct NamedFilter {
    pub(crate) name: String,
    pub(crate) filter: Filter,
}

impl NamedFilter {
    /// Understands a filter. `now` is the time that it counts from.
    pub(crate) fn parse(name: String, text: &str, now: Timestamp) -> Result<Self, CommandError> {
        match Filter::parse(text, now) {
            Ok(filter) => Ok(Self { name, filter }),
            Err(error) => Err(CommandError::filter(&name, &error)),
        }
    }
}

impl InputOrder {
    /// Whether the tenant's machines must be read before the rows are, since the filter names their fields.
    pub(crate) fn waits_for_machines(&self) -> bool {
        self.is_tenants_list() || self.filter.as_ref().is_some_and(|filter| names_machine_fields(&filter.filter))
    }

    /// Whether its rows are the tenant's machines.
    pub(crate) const fn is_tenants_list(&self) -> bool {
        matches!(self.source, InputSource::Tenant)
    }
}

/// An input that may be run: what is asked for, and the rows that are left out because they are in error.
pub(crate) struct CheckedInput {
    /// The name in messages.
    pub(super) name: String,
    /// The name in the database.
    pub(super) path: String,
    /// Whether the same path is the same input next time.
    pub(super) is_file: bool,
    pub(super) sheet: Sheet,
    /// Which command line it is of, where that says which rows are meant.
    pub(super) order: Option<OrderDigest>,
    pub(super) invalid: Vec<InvalidRow>,
    /// Whether the valid rows are run where there are bad ones.
    skip_invalid: bool,
    /// What its rows come to where each spelling of a machine is one of its own; none of them contradicts another.
    pub(super) operations: Arc<Operations>,
    /// What they come from, where rules made them.
    pub(super) rules: Option<Box<RulesOfInput>>,
}

/// What the rules came to that made the rows of an input, and what they declare.
pub(super) struct RulesOfInput {
    pub(super) account: Account,
    pub(super) declared: Declared,
}

impl CheckedInput {
    /// The machines that it names, as they stand there.
    pub(crate) fn machines(&self) -> &[MachineReference] {
        &self.sheet.requests.machines
    }

    /// Rows of our own making, under this name. They contradict each other in nothing.
    pub(super) fn made(name: String, sheet: Sheet) -> Self {
        let operations = Arc::new(Operations::of(&Resolution::of(&sheet.requests, None)));
        Self {
            path: name.clone(),
            name,
            is_file: false,
            sheet,
            order: None,
            invalid: Vec::new(),
            skip_invalid: false,
            operations,
            rules: None,
        }
    }

    /// The same of rows that are made anew from the tenant each time: under this name the same is meant next time.
    pub(super) fn made_again(name: String, sheet: Sheet) -> Self {
        Self { is_file: true, ..Self::made(name, sheet) }
    }

    /// The columns that are carried along into the results.
    pub(crate) fn header(&self) -> &[String] {
        &self.sheet.header
    }

    /// What the rules came to that made it.
    pub(super) fn account(&self) -> Option<&Account> {
        self.rules.as_ref().map(|rules| &rules.account)
    }

    /// Whether the command line says what is changed, and not the rows.
    pub(super) fn is_ordered(&self) -> bool {
        self.order.as_ref().is_some_and(|order| OrderDigest::says_changes(&order.order))
    }

    /// Whether its rows have numbers that people can look up: those of a file do, and those that were made of the tenant's
    /// list do not.
    pub(super) fn has_numbered_rows(&self) -> bool {
        self.rules.is_none() && self.path != TENANT_INPUT
    }

    /// Says how many rows the filter selected, where it is these that are meant and not those of an earlier run.
    pub(super) fn note_selection(&self, screen: &Screen) {
        if let Some(all) = self.sheet.selected_from {
            screen.note(&format!("{}: {}", self.name, selected_rows(u64::from(self.sheet.row_count), Some(all))));
        }
    }

    /// Rows in error.
    pub(super) fn invalid_rows(&self) -> u64 {
        count_rows(&self.invalid) as u64
    }
}

/// A row in error.
pub(super) struct InvalidRow {
    pub(super) row: RowNumber,
    pub(super) code: &'static str,
    pub(super) message: String,
}

#[derive(Debug, thiserror::Error)]
#[error("{} cannot be used", shown(name))]
struct UnusableInput {
    name: String,
    #[source]
    source: InputError,
}

/// Reads and checks the input. Every problem is shown with its row and line, those of one kind together where there are
/// many; unless bad rows are to be skipped, they refuse the file. What is wrong with its structure refuses it in any case.
pub(crate) async fn check_input(order: InputOrder, screen: &Screen) -> Result<CheckedInput, CommandError> {
    let screen = screen.clone();
    let checking = tokio::task::spawn_blocking(move || check_blocking(order, None, &screen));
    checking.await.map_err(|error| CommandError::new(ExitStatus::Bug, error, None))?
}

/// The same for an input whose rows hang on the tenant's machines. These are read first, and whoever plans uses what was read.
pub(crate) async fn check_input_with_machines<T: Transport>(
    tenant: &Tenant<T>,
    mut order: InputOrder,
    desk: &mut Desk,
) -> Result<CheckedInput, CommandError> {
    tenant.refuse_unknown()?;
    let names = order.filter.iter().flat_map(|filter| filter.filter.names()).filter(|name| is_of_machine(name));
    let mut list = ListBuilder::keeping(names.map(|name| name.name.as_str()));
    if order.is_tenants_list() {
        list = list.writing_rows();
    }
    let (machines, mut fields) = tenant.read_list(list, desk).await?;
    if order.is_tenants_list() {
        order.source = InputSource::Bytes(Box::new(fields.open_rows()));
    }
    let screen = desk.screen.clone();
    let checking = tokio::task::spawn_blocking(move || {
        let listed = ListedFields { inventory: &machines.inventory, fields: &fields };
        let checked = check_blocking(order, Some(&listed), &screen);
        (checked.and_then(|input| input.with_machine_column(&listed, &screen)), machines)
    });
    let (checked, machines) = checking.await.map_err(|error| CommandError::new(ExitStatus::Bug, error, None))?;
    tenant.keep_read(machines);
    checked
}

/// The same for an input of which the tenant must say which column names the machines; any other stays as it is.
pub(crate) async fn choose_machine_column<T: Transport>(
    tenant: &Tenant<T>,
    input: CheckedInput,
    desk: &mut Desk,
) -> Result<CheckedInput, CommandError> {
    if !input.sheet.has_rival_columns() {
        return Ok(input);
    }
    tenant.refuse_unknown()?;
    let (machines, fields) = tenant.read_list(ListBuilder::default(), desk).await?;
    let screen = desk.screen.clone();
    let choosing = tokio::task::spawn_blocking(move || {
        let listed = ListedFields { inventory: &machines.inventory, fields: &fields };
        (input.with_machine_column(&listed, &screen), machines)
    });
    let (chosen, machines) = choosing.await.map_err(|error| CommandError::new(ExitStatus::Bug, error, None))?;
    tenant.keep_read(machines);
    chosen
}

fn check_blocking(
    order: InputOrder,
    machines: Option<&dyn MachineFields>,
    screen: &Screen,
) -> Result<CheckedInput, CommandError> {
    let InputOrder { name, path, is_file, source, filter, options, skip_invalid, allow_empty, names_allowed } = order;
    let options = InputOptions { ids_only: !names_allowed, ..options };
    let mut order = OrderDigest::of(&path, filter.as_ref(), options.orders.as_ref());
    let sheet = read_sheet(&name, source, &options, filter, machines, order.as_mut())?;
    if let (Some(order), TENANT_INPUT) = (&mut order, &*path) {
        TENANTS_LIST.clone_into(&mut order.content);
    }
    for tag in options.orders.iter().flat_map(Orders::broken_in_portal) {
        screen.warning(&portal_warning(tag));
    }
    for note in &sheet.notes {
        screen.note(&format!("{name}: {note}"));
    }
    if sheet.selected_from.unwrap_or(sheet.row_count) == 0 && !allow_empty {
        return Err(CommandError::text(
            ExitStatus::InputRefused,
            format!("{name} has a header and no rows, so nothing was sent"),
            Some("if a file without rows is as it should be, as in a nightly job, add --allow-empty"),
        ));
    }
    show_warnings(&name, &sheet, screen);
    let (invalid, operations) = judge(&name, &sheet, skip_invalid, screen)?;
    let rules = None;
    Ok(CheckedInput { name, path, is_file, sheet, order, invalid, skip_invalid, operations, rules })
}

impl CheckedInput {
    /// The same with the column of ids that counts by what the tenant knows.
    fn with_machine_column(mut self, machines: &dyn MachineFields, screen: &Screen) -> Result<Self, CommandError> {
        let change = self.sheet.choose_machine_column(|machine| machines.find(machine).is_some());
        let change = change.map_err(|source| CommandError::new(ExitStatus::StorageFailed, source, None))?;
        let Some(ColumnChange { passed, chosen }) = change else { return Ok(self) };
        let name = &self.name;
        screen.note(&format!(
            "{name}: the tenant knows no id in the column \"{passed}\", so \"{chosen}\" names the machines"
        ));
        (self.invalid, self.operations) = judge(name, &self.sheet, self.skip_invalid, screen)?;
        Ok(self)
    }
}

/// Shows what is wrong with rows, and refuses them where they are not to be skipped; gives those that are, and what the others
/// come to.
fn judge(
    name: &str,
    sheet: &Sheet,
    skip_invalid: bool,
    screen: &Screen,
) -> Result<(Vec<InvalidRow>, Arc<Operations>), CommandError> {
    let findings = sheet.findings();
    let is_refused = sheet.is_refused() || !(findings.is_empty() || skip_invalid);
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    show_lines(name, &lines, if is_refused { "error" } else { "warning" }, screen);
    // Before anybody signs in, and also beside other findings; names may show further ones.
    let operations = Operations::of(&Resolution::of(&sheet.requests, None));
    let conflicts = refuse_conflicts(name, &sheet.requests, &operations, screen);
    if is_refused {
        let bad_rows = sheet.problems.chunk_by(|one, next| one.row == next.row).count();
        let mut error = refused(name, bad_rows, sheet);
        error.findings = findings.iter().filter_map(|finding| serde_json::to_value(finding).ok()).collect();
        error.findings.extend(conflicts.err().into_iter().flat_map(|conflicts| conflicts.findings));
        return Err(error);
    }
    conflicts?;
    let in_error = |problem: &Problem| InvalidRow {
        row: problem.row,
        code: problem.kind.code(),
        message: problem.kind.to_string(),
    };
    Ok((sheet.problems.iter().map(in_error).collect(), Arc::new(operations)))
}

/// Refuses rows that contradict each other; all of them are listed.
pub(super) fn refuse_conflicts(
    name: &str,
    requests: &Requests,
    operations: &Operations,
    screen: &Screen,
) -> Result<(), CommandError> {
    if operations.conflicts.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<String> =
        operations.conflicts.iter().take(LISTED_CONFLICTS).map(|conflict| conflict.describe(requests)).collect();
    let more = operations.conflicts.len() - lines.len();
    if more > 0 {
        let rows: Vec<String> = operations
            .conflicts
            .iter()
            .skip(LISTED_CONFLICTS)
            .take(LISTED_CONFLICTS)
            .map(|conflict| conflict.later.row.to_string())
            .collect();
        let ellipsis = if more > rows.len() { ", …" } else { "" };
        let more = counted(more as u64, "more contradiction, in row", "more contradictions, in rows");
        lines.push(format!("and {more} {}{ellipsis}", rows.join(", ")));
    }
    show_lines(name, &lines, "error", screen);
    let mut error = CommandError::text(
        ExitStatus::InputRefused,
        format!("{name} contradicts itself, so nothing was sent"),
        Some("a tag cannot be added to and removed from one machine, nor a device have two values, in one run"),
    );
    error.findings = conflict_findings(&operations.conflicts, requests);
    Err(error)
}

/// A few contradictions one by one; many are one finding, as many problems of one kind are.
fn conflict_findings(conflicts: &[Conflict], requests: &Requests) -> Vec<Value> {
    let rows_of_one = if conflicts.len() > LISTED_CONFLICTS { conflicts.len() } else { 1 };
    let place = |conflict: &Conflict| json!({"row": conflict.later.row, "line": conflict.later.line});
    let finding = |group: &[Conflict]| {
        let (first, places) = (group.first()?, group.iter().take(LISTED_CONFLICTS).map(place));
        Some(json!({"code": "contradiction", "row": first.later.row, "line": first.later.line, "column": null,
            "message": first.describe(requests), "accept": null, "rows": group.len(), "places": places.collect::<Vec<_>>()}))
    };
    conflicts.chunks(rows_of_one).filter_map(finding).collect()
}

fn read_sheet(
    name: &str,
    source: InputSource,
    options: &InputOptions,
    filter: Option<NamedFilter>,
    machines: Option<&dyn MachineFields>,
    order: Option<&mut OrderDigest>,
) -> Result<Sheet, CommandError> {
    let (filter_name, filter) = filter.map(|NamedFilter { name, filter }| (name, filter)).unzip();
    let unusable = |source: InputError| {
        if let InputError::Filter(error) = &source {
            return CommandError::filter(filter_name.as_deref().unwrap_or_default(), error);
        }
        let status = match source {
            InputError::Spool(_) | InputError::Workbook(WorkbookError::Spool(_)) => ExitStatus::StorageFailed,
            _ => ExitStatus::InputRefused,
        };
        let finding = unusable_json(&source);
        let mut error = CommandError::new(status, UnusableInput { name: name.to_owned(), source }, None);
        error.findings = vec![finding];
        error
    };
    let open: OpenInput = match source {
        InputSource::Bytes(open) => open,
        InputSource::Tenant => Box::new(|| Err(io::ErrorKind::Unsupported.into())),
    };
    let bytes = open().map_err(InputError::Read).map_err(unusable)?;
    let Some(order) = order else { return read_selected(bytes, options, filter, machines).map_err(unusable) };
    let mut bytes = Digesting { bytes, digest: Sha256::new() };
    let sheet = read_selected(&mut bytes, options, filter, machines).map_err(unusable)?;
    order.content = OrderedDigest::of(bytes.digest.finalize().as_slice());
    Ok(sheet)
}

fn unusable_json(error: &InputError) -> Value {
    json!({"code": error.code(), "row": null, "line": error.line(), "column": null, "message": error.to_string(),
        "accept": error.doubt().map(Doubt::name), "rows": null, "places": []})
}

fn refused(name: &str, bad_rows: usize, sheet: &Sheet) -> CommandError {
    let (message, hint) = if sheet.is_refused() {
        (
            format!("the structure of {name} is in error, so nothing was sent"),
            "fix the findings above; --skip-invalid does not help here, since rows may be missing",
        )
    } else {
        (
            format!("{name} has {} in error, so nothing was sent", rows_text(bad_rows, sheet.row_count)),
            "fix these rows, or add --skip-invalid to run the others",
        )
    };
    CommandError::text(ExitStatus::InputRefused, message, Some(hint))
}

/// Rows with at least one problem; `invalid` is sorted by row.
fn count_rows(invalid: &[InvalidRow]) -> usize {
    invalid.chunk_by(|one, next| one.row == next.row).count()
}

fn rows_text(count: usize, of: u32) -> String {
    format!("{} of {}", counted(count as u64, "row", "rows"), group_digits(u64::from(of)))
}

fn show_lines(name: &str, lines: &[String], word: &str, screen: &Screen) {
    if lines.is_empty() {
        return;
    }
    let mut text = String::new();
    for line in lines {
        // Writing into a string cannot fail.
        let _written = writeln!(text, "{word}: {name}: {line}");
    }
    screen.line(text.trim_end());
}

fn show_warnings(name: &str, sheet: &Sheet, screen: &Screen) {
    for warning in &sheet.warnings {
        screen.warning(&format!("{name}: {warning}"));
    }
    if sheet.further_warnings > 0 {
        screen.warning(&format!("{name}: and {}", more_tags(u64::from(sheet.further_warnings))));
    }
}

/// What is said of a tag by which the portal cannot filter.
pub(super) fn portal_warning(tag: &Tag) -> String {
    let tag = Excerpt::new(tag.as_str());
    format!("the tag \"{tag}\" holds a parenthesis or a comma, so the portal cannot filter by it")
}
