//! The input that was named: a file, or standard input.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use jiff::Timestamp;

use crate::api::Transport;
use crate::cli::{FilterOptions, InputOptions as InputArguments};
use crate::config::{ConfigError, Profile};
use crate::exit::{CommandError, ExitStatus};
use crate::input::{InputOptions, Tenants, encoding};
use crate::model::MachineReference;
use crate::outside::shown;
use crate::report::Screen;
use crate::run::{
    CheckedInput, Desk, InputOrder, NamedFilter, OpenInput, Tenant, check_input, check_input_with_machines,
};

/// What standard input is called.
pub(super) const STANDARD_INPUT: &str = "standard input";

/// The path of the input's file; `None` for standard input.
pub(super) fn input_path(arguments: &InputArguments) -> Option<&Path> {
    Some(arguments.input.as_path()).filter(|path| *path != Path::new("-"))
}

/// The name under which an input is known wherever it is named from.
pub(super) fn input_name(path: &Path) -> String {
    if path == Path::new("-") {
        return STANDARD_INPUT.to_owned();
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
    let encoding = match &arguments.encoding {
        None => None,
        Some(label) => Some(encoding(label).ok_or_else(|| ConfigError::Encoding(label.clone()))?),
    };
    let (name, path, open): (_, _, OpenInput) = match input_path(arguments) {
        None => {
            let name = STANDARD_INPUT.to_owned();
            (name.clone(), name, Box::new(|| Ok(Box::new(io::stdin().lock()))))
        }
        Some(path) => {
            let file = path.to_owned();
            let open = move || Ok(Box::new(File::open(file)?) as Box<dyn io::Read>);
            (shown(path), input_name(path), Box::new(open))
        }
    };
    Ok(InputOrder {
        name,
        path,
        is_file: input_path(arguments).is_some(),
        open,
        filter: filter(&arguments.filter)?,
        options: InputOptions {
            encoding,
            accepted: arguments.accept.iter().copied().collect(),
            tag_separator: arguments.tag_separator,
            tenants: tenants(settings),
            ..InputOptions::default()
        },
        skip_invalid: arguments.skip_invalid,
        allow_empty: arguments.allow_empty,
        names_allowed,
    })
}

/// Whose rows may be, where a profile says whom the command is for.
fn tenants(settings: &Profile) -> Option<Tenants> {
    let (own, others) = (settings.own_tenant.clone(), settings.other_tenants.clone());
    settings.name.is_some().then_some(Tenants { own, others })
}

/// The longest file of a filter that is read; longer ones are refused as filters.
const FILTER_FILE_BYTES: u64 = 2 * 1024 * 1024;

/// The filter that was typed, or stands in a file.
pub(super) fn filter(arguments: &FilterOptions) -> Result<Option<NamedFilter>, CommandError> {
    let now = Timestamp::now();
    if let Some(text) = &arguments.filter {
        return NamedFilter::parse("--where".to_owned(), text, now).map(Some);
    }
    let Some(path) = &arguments.where_file else { return Ok(None) };
    let unreadable = |error: io::Error| {
        let hint = format!("--where-file needs a file of text in UTF-8 that can be read, and {} cannot", shown(path));
        CommandError::new(ExitStatus::Usage, error, Some(hint))
    };
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILTER_FILE_BYTES).read_to_string(&mut text).map_err(unreadable)?;
    NamedFilter::parse(shown(path), text.trim_start_matches('\u{feff}'), now).map(Some)
}

/// An input that is checked, or will be once the tenant's machines are read.
pub(super) enum Pending {
    Checked(Box<CheckedInput>),
    WaitsForMachines(Box<InputOrder>),
}

impl Pending {
    /// Checks an input, unless what it means hangs on the tenant's machines. A sandbox is made of what an input names, and so
    /// cannot say which of its rows are meant; nor can anybody where the machines are not to be read.
    pub(super) async fn check(order: InputOrder, sandbox: bool, screen: &Screen) -> Result<Self, CommandError> {
        if !order.waits_for_machines() {
            return check_input(order, screen).await.map(|input| Self::Checked(Box::new(input)));
        }
        let refused = |message: &str, hint: &str| Err(CommandError::text(ExitStatus::Usage, message, Some(hint)));
        if sandbox {
            let hint = "start one with: tagfleet sandbox, and name it with --base-url";
            return refused(
                "--sandbox has the machines that the rows name, so these cannot be chosen by machines",
                hint,
            );
        }
        if !order.names_allowed {
            return refused("the filter names fields of machines, which --no-inventory leaves unread", "leave one out");
        }
        Ok(Self::WaitsForMachines(Box::new(order)))
    }

    /// The machines that it names, as far as they are known.
    pub(super) fn machines(&self) -> &[MachineReference] {
        match self {
            Self::Checked(input) => input.machines(),
            Self::WaitsForMachines(_) => &[],
        }
    }

    /// The input, checked.
    pub(super) async fn finish<T: Transport>(
        self,
        tenant: &Tenant<T>,
        desk: &mut Desk,
    ) -> Result<CheckedInput, CommandError> {
        match self {
            Self::Checked(input) => Ok(*input),
            Self::WaitsForMachines(order) => check_input_with_machines(tenant, *order, desk).await,
        }
    }
}
