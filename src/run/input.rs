//! Reading the input for a command: where it is, what is wrong with it, what it comes to.

use std::io::{self, Read};
use std::sync::Arc;

use jiff::Timestamp;

use super::RunContext;
use super::input_faults::{portal_warning, refuse_conflicts, refused, show_lines, show_warnings, unusable_json};
use super::order_digest::{Digesting, OrderDigest};
use super::tenant::Tenant;
use crate::api::Transport;
use crate::exit::{CommandError, ExitStatus};
use crate::filter::Filter;
use crate::input::{
    ColumnChange, Doubt, InputError, InputOptions, MachineFields, Note, Orders, Problem, Sheet, WorkbookError,
    is_of_machine, names_machine_fields, read_selected,
};
use crate::model::{MachineReference, RowNumber};
use crate::outside::shown;
use crate::plan::operations::Operations;
use crate::plan::resolution::Resolution;
use crate::report::{ListBuilder, ListedFields, Screen};
use crate::rules::RuleTally;
use crate::store::Declared;
use crate::words::selected_rows;

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
    pub(super) tally: RuleTally,
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
    pub(super) fn rule_tally(&self) -> Option<&RuleTally> {
        self.rules.as_ref().map(|rules| &rules.tally)
    }

    /// Whether the command line says what is changed, and not the rows.
    pub(super) fn is_ordered(&self) -> bool {
        self.order.as_ref().is_some_and(|order| OrderDigest::says_changes(&order.text()))
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

#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", shown(name))]
struct UnreadableInput {
    name: String,
    #[source]
    source: io::Error,
}

/// Reads and checks the input. Every problem is shown with its row and line, those of one kind together where there are
/// many; unless bad rows are to be skipped, they refuse the file. What is wrong with its structure refuses it in any case.
pub(crate) async fn check_input(order: InputOrder, screen: &Screen) -> Result<CheckedInput, CommandError> {
    let screen = screen.clone();
    let checking = tokio::task::spawn_blocking(move || check_blocking(order, None, &screen));
    checking.await.map_err(|error| CommandError::new(ExitStatus::Bug, error, None))?
}

/// The same for an input whose rows hang on the tenant's machines. These are read first, and the plan uses what was read.
pub(crate) async fn check_input_with_machines<T: Transport>(
    tenant: &Tenant<T>,
    mut order: InputOrder,
    context: &mut RunContext,
) -> Result<CheckedInput, CommandError> {
    tenant.refuse_unknown()?;
    let names = order.filter.iter().flat_map(|filter| filter.filter.names()).filter(|name| is_of_machine(name));
    let mut list = ListBuilder::keeping(names.map(|name| name.name.as_str()));
    if order.is_tenants_list() {
        list = list.writing_rows();
    }
    let (machines, mut fields) = tenant.read_list(list, context).await?;
    if order.is_tenants_list() {
        tenant.note_person(context);
        order.source = InputSource::Bytes(Box::new(fields.open_rows()));
        // What a machine is called by the service is its text, and no row.
        order.options.accepted = order.options.accepted.with(Doubt::LineBreaks);
    }
    let screen = context.screen.clone();
    let began = tenant.clock.boot_time();
    let checking = tokio::task::spawn_blocking(move || {
        let listed = ListedFields { inventory: &machines.inventory, fields: &fields };
        let checked = check_blocking(order, Some(&listed), &screen);
        (checked.and_then(|input| input.with_machine_column(&listed, &screen)), machines)
    });
    let (checked, machines) = checking.await.map_err(|error| CommandError::new(ExitStatus::Bug, error, None))?;
    context.note_reading(tenant.clock.boot_time().since(began));
    tenant.keep_read(machines);
    checked
}

/// The same for an input of which the tenant must say which column names the machines; any other stays as it is.
pub(crate) async fn choose_machine_column<T: Transport>(
    tenant: &Tenant<T>,
    input: CheckedInput,
    context: &mut RunContext,
) -> Result<CheckedInput, CommandError> {
    if !input.sheet.has_rival_columns() {
        return Ok(input);
    }
    tenant.refuse_unknown()?;
    let (machines, fields) = tenant.read_list(ListBuilder::default(), context).await?;
    let screen = context.screen.clone();
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
    let mut order = OrderDigest::of(&path, filter.as_ref().map(|filter| &filter.filter), options.orders.as_ref());
    let sheet = read_sheet(&name, source, &options, filter, machines, order.as_mut())?;
    if let (Some(order), TENANT_INPUT) = (&mut order, &*path) {
        order.note_tenants_list();
    }
    for tag in options.orders.iter().flat_map(Orders::broken_in_portal) {
        screen.warning(&portal_warning(tag));
    }
    let is_ours =
        |note: &&Note| path == TENANT_INPUT && matches!(note, Note::Accepted { doubt: Doubt::LineBreaks, .. });
    for note in sheet.notes.iter().filter(|note| !is_ours(note)) {
        screen.note(&format!("{name}: {note}"));
    }
    if sheet.selected_from.unwrap_or(sheet.row_count) == 0 && !allow_empty {
        return Err(CommandError::text(
            ExitStatus::InputRefused,
            format!("{name} has a header and no rows, so nothing was sent"),
            Some("if an empty file is expected, as in a nightly job, add --allow-empty"),
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
    // Before the sign-in, and also beside other findings; names may show further ones.
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
        let name = name.to_owned();
        let mut error = match source {
            InputError::Read(source) => {
                let hint = "check that the file is there and that this account may read it";
                let is_closed = matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied);
                CommandError::new(status, UnreadableInput { name, source }, is_closed.then(|| hint.to_owned()))
            }
            source => CommandError::new(status, UnusableInput { name, source }, None),
        };
        error.findings = vec![finding];
        error
    };
    let open: OpenInput = match source {
        InputSource::Bytes(open) => open,
        InputSource::Tenant => Box::new(|| Err(io::ErrorKind::Unsupported.into())),
    };
    let bytes = open().map_err(InputError::Read).map_err(unusable)?;
    let Some(order) = order else { return read_selected(bytes, options, filter, machines).map_err(unusable) };
    let mut bytes = Digesting::new(bytes);
    let sheet = read_selected(&mut bytes, options, filter, machines).map_err(unusable)?;
    order.note_content(bytes);
    Ok(sheet)
}

/// Rows with at least one problem; `invalid` is sorted by row.
fn count_rows(invalid: &[InvalidRow]) -> usize {
    invalid.chunk_by(|one, next| one.row == next.row).count()
}
