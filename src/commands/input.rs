//! The input that was named: a file, or standard input.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::api::Transport;
use crate::cli::{FilterOptions, InputOptions as InputArguments, OrderOptions};
use crate::clock;
use crate::config::ConfigError;
use crate::environment::Profile;
use crate::exit::{CommandError, ExitStatus};
use crate::input::{Encoding, InputOptions, Orders, Tenants, encoding};
use crate::model::MachineReference;
use crate::outside::{read_at_once, shown};
use crate::report::{MACHINE_COLUMNS, Screen};
use crate::run::{
    CheckedInput, InputOrder, InputSource, NamedFilter, RunContext, TENANT_INPUT, Tenant, check_input,
    check_input_with_machines, choose_machine_column,
};

/// What standard input is called.
pub(super) const STANDARD_INPUT: &str = "standard input";

/// The path of the input's file; `None` for standard input and the tenant's own list.
pub(super) fn input_path(arguments: &InputArguments) -> Option<&Path> {
    Some(arguments.input.as_path()).filter(|path| !is_standard_input(path) && !is_tenants_list(path))
}

/// Whether the rows come from standard input.
pub(super) fn is_standard_input(input: &Path) -> bool {
    input == Path::new("-")
}

/// Whether the rows are the tenant's own list.
pub(super) fn is_tenants_list(input: &Path) -> bool {
    input == Path::new(TENANT_INPUT)
}

/// The name under which an input is known wherever it is named from.
pub(super) fn input_name(path: &Path) -> String {
    if is_standard_input(path) {
        return STANDARD_INPUT.to_owned();
    }
    if is_tenants_list(path) {
        return TENANT_INPUT.to_owned();
    }
    let place = path.canonicalize().or_else(|_gone| std::path::absolute(path));
    place.unwrap_or_else(|_nowhere| path.to_owned()).to_string_lossy().into_owned()
}

/// The input, and how it is to be read. Machines may be named if the inventory is read to look them up in.
pub(super) fn input_order(
    arguments: &InputArguments,
    settings: &Profile,
    names_allowed: bool,
) -> Result<InputOrder, CommandError> {
    let encoding = named_encoding(arguments)?;
    let orders = orders(arguments)?;
    let (name, source) = match input_path(arguments) {
        None if is_tenants_list(&arguments.input) => (TENANT_INPUT.to_owned(), InputSource::Tenant),
        None => (STANDARD_INPUT.to_owned(), InputSource::Bytes(Box::new(|| Ok(Box::new(io::stdin().lock()))))),
        Some(path) => {
            let file = path.to_owned();
            let open = move || Ok(Box::new(File::open(file)?) as Box<dyn io::Read>);
            (shown(path), InputSource::Bytes(Box::new(open)))
        }
    };
    Ok(InputOrder {
        name,
        path: input_name(&arguments.input),
        is_file: input_path(arguments).is_some(),
        source,
        filter: typed_filter(&arguments.filter)?,
        options: InputOptions {
            encoding,
            accepted: arguments.accept.iter().copied().collect(),
            tag_separator: arguments.tag_separator,
            orders,
            sheet: arguments.sheet.clone(),
            tenants: tenants(settings),
            signed_in: signed_in(settings),
            machine_fields: &MACHINE_COLUMNS,
            ..InputOptions::default()
        },
        skip_invalid: arguments.skip_invalid,
        allow_empty: arguments.allow_empty,
        names_allowed,
    })
}

/// Whether the command line says which rows are meant, or what for.
pub(super) fn says_more(arguments: &InputArguments) -> bool {
    let OrderOptions { add, remove, set_value, all } = &arguments.orders;
    let FilterOptions { filter, where_file } = &arguments.filter;
    *all || filter.is_some() || where_file.is_some() || set_value.is_some() || !(add.is_empty() && remove.is_empty())
}

/// The encoding that the command line names.
pub(super) fn named_encoding(arguments: &InputArguments) -> Result<Option<&'static Encoding>, CommandError> {
    let Some(label) = &arguments.encoding else { return Ok(None) };
    Ok(Some(encoding(label).ok_or_else(|| ConfigError::Encoding(label.clone()))?))
}

/// What the command line asks for of every row, if it does. All rows are meant only where that is said.
fn orders(arguments: &InputArguments) -> Result<Option<Orders>, CommandError> {
    let OrderOptions { add, remove, set_value, all } = &arguments.orders;
    let refused = |message: &str, hint: &str| Err(CommandError::text(ExitStatus::Usage, message, Some(hint)));
    if add.is_empty() && remove.is_empty() && set_value.is_none() {
        let hint = "add --add TAG, --remove TAG or --set-value VALUE";
        return match all {
            _ if is_tenants_list(&arguments.input) => {
                refused("@tenant says which machines there are, not what for", hint)
            }
            true => refused("--all takes all rows, and nothing says what for", hint),
            false => Ok(None),
        };
    }
    let FilterOptions { filter, where_file } = &arguments.filter;
    if filter.is_none() && where_file.is_none() && !all {
        let hint = "choose rows with --where, or take all with --all";
        return refused("nothing says which rows the changes on the command line are for", hint);
    }
    let orders = Orders::new(add, remove, *set_value, arguments.accept.iter().copied().collect());
    orders.map(Some).map_err(|error| {
        let status = if error.is_usage() { ExitStatus::Usage } else { ExitStatus::InputRefused };
        let hint = error.doubt().map(|doubt| format!("write it in another way, or allow it with --accept {doubt}"));
        CommandError::new(status, error, hint)
    })
}

/// Whose rows may be, where a profile says whom the command is for.
fn tenants(settings: &Profile) -> Option<Tenants> {
    let (own, others) = (settings.own_tenant.clone(), settings.other_tenants.clone());
    settings.name.is_some().then_some(Tenants { own, others })
}

/// The tenant that is signed in to, as far as that is known beforehand, where no profile chooses rows.
fn signed_in(settings: &Profile) -> Option<String> {
    let tenant = settings.variable("AZURE_TENANT_ID").filter(|_| settings.name.is_none());
    tenant.and_then(|tenant| tenant.into_string().ok())
}

/// The longest file of a filter that is read; longer ones are refused as filters.
const FILTER_FILE_BYTES: u64 = 2 * 1024 * 1024;

/// The filter that was typed.
pub(super) fn typed_filter(arguments: &FilterOptions) -> Result<Option<NamedFilter>, CommandError> {
    let parse = |text: &String| NamedFilter::parse("--where".to_owned(), text, clock::now());
    arguments.filter.as_ref().map(parse).transpose()
}

/// The filter that stands in a file. That may be a pipe with a slow writer, which is waited for elsewhere.
pub(super) async fn filter_of_file(arguments: &FilterOptions) -> Result<Option<NamedFilter>, CommandError> {
    let Some(path) = &arguments.where_file else { return Ok(None) };
    let unreadable = |error: io::Error| {
        let hint = format!("--where-file needs a file of text in UTF-8 that can be read, and {} cannot", shown(path));
        CommandError::new(ExitStatus::Usage, error, Some(hint))
    };
    let file = path.clone();
    let reading = tokio::task::spawn_blocking(move || {
        String::from_utf8(read_at_once(&file, FILTER_FILE_BYTES)?).map_err(io::Error::other)
    });
    let text = reading.await.map_err(|_stopped| CommandError::cancelled())?.map_err(unreadable)?;
    NamedFilter::parse(shown(path), text.trim_start_matches('\u{feff}'), clock::now()).map(Some)
}

/// An input that is checked, or will be once the tenant's machines are read.
pub(super) enum Pending {
    Checked {
        input: Box<CheckedInput>,
        /// How long that took, whoever had it ready so late.
        reading_took: Duration,
    },
    WaitsForMachines(Box<InputOrder>),
}

impl Pending {
    /// Reads the filter, if it stands in a file, and checks an input, unless what it means hangs on the tenant's machines. A sandbox is made of what an input names, and so
    /// cannot say which of its rows are meant; nor can anybody where the machines are not to be read.
    pub(super) async fn check(
        mut order: InputOrder,
        filter: &FilterOptions,
        sandbox: bool,
        screen: &Screen,
    ) -> Result<Self, CommandError> {
        if let Some(filter) = filter_of_file(filter).await? {
            order.filter = Some(filter);
        }
        if !order.waits_for_machines() {
            let began = Instant::now();
            let input = Box::new(check_input(order, screen).await?);
            return Ok(Self::Checked { input, reading_took: began.elapsed() });
        }
        let refused = |message: &str, hint: &str| Err(CommandError::text(ExitStatus::Usage, message, Some(hint)));
        if sandbox && !order.is_tenants_list() {
            let hint = "start one with: tagfleet sandbox, and name it with --base-url";
            return refused(
                "--sandbox has the machines that the rows name, so these cannot be chosen by machines",
                hint,
            );
        }
        if !order.names_allowed {
            let what = if order.is_tenants_list() { "@tenant is" } else { "the filter names fields of" };
            return refused(&format!("{what} machines, which --no-inventory leaves unread"), "leave one out");
        }
        Ok(Self::WaitsForMachines(Box::new(order)))
    }

    /// Whether its rows are the tenant's machines.
    pub(super) fn is_tenants_list(&self) -> bool {
        matches!(self, Self::WaitsForMachines(order) if order.is_tenants_list())
    }

    /// The machines that it names, as far as they are known.
    pub(super) fn machines(&self) -> &[MachineReference] {
        match self {
            Self::Checked { input, .. } => input.machines(),
            Self::WaitsForMachines(_) => &[],
        }
    }

    /// The input, checked.
    pub(super) async fn finish<T: Transport>(
        self,
        tenant: &Tenant<T>,
        context: &mut RunContext,
    ) -> Result<CheckedInput, CommandError> {
        match self {
            Self::Checked { input, reading_took } => {
                context.note_reading(reading_took);
                choose_machine_column(tenant, *input, context).await
            }
            Self::WaitsForMachines(order) => check_input_with_machines(tenant, *order, context).await,
        }
    }
}
