//! What can be set in a file, and how it is written there: every option of a run, under its own name, and the variables that
//! say who signs in. The table is the command line's own, so an option that is added is a key at once.

use std::any::TypeId;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};

use crate::cli::mistyped::message_and_hint;
use crate::dispatch::MaximumErrors;
use crate::environment::{Entry, Place, SettingsError, Written, keep_password_of};
use crate::outside::{secrets, shown};

/// Commands that need no settings: they call no tenant, and must work where the settings do not.
pub(super) const WITHOUT_SETTINGS: [&str; 4] = ["help", "completions", "man", "sandbox"];

/// Options that are no keys, and why.
const EXCLUDED: [(&str, &str); 33] = [
    ("config", "a file cannot say which file is read"),
    ("profile", "a file cannot say which of its profiles is meant; TAGFLEET_PROFILE can"),
    ("all-profiles", "which tenants are meant is said on the command line"),
    ("only-profile", "it is for tagfleet itself"),
    ("begun-at", "it is for tagfleet itself"),
    ("jobs", "how many profiles run side by side is said on the command line"),
    ("json", "it is for the reader of one command's output"),
    ("quiet", "it is for the terminal of one command"),
    ("verbose", "it is for the terminal of one command"),
    ("yes", "consent is given for one command, not for all that follow"),
    ("sandbox", "a file that made every run a rehearsal would be taken for done"),
    ("fresh", "it is said of one run"),
    ("note", "it is said of one run"),
    ("limit", "a canary is one run; later ones would be cut short unseen"),
    ("where", "rows would be left out unseen"),
    ("where-file", "rows would be left out unseen"),
    ("add", "what is to be changed is said of one command"),
    ("remove", "what is to be changed is said of one command"),
    ("set-value", "what is to be changed is said of one command"),
    ("all", "which rows are meant is said of one command"),
    ("sheet", "it is said of one input"),
    ("allow-removals", "it lets one run through, not all that follow"),
    ("allow-changes", "it lets one run through, not all that follow"),
    ("report", "each run would write over the page of the last"),
    ("explain", "it is said of one command"),
    ("inventory", "it is said of one command"),
    ("dump", "it is said of one command"),
    ("prefix", "it is said of one command"),
    ("name", "it is said of one command"),
    ("release", "it is said of one command"),
    ("to", "it is said of one command"),
    ("plan-only", "it is said of one command"),
    ("detailed-exitcode", "it is for the script that reads the exit status"),
];

/// The variable that goes before a key. Where none of our options is called like the key, the key stands for the variable.
const VARIABLES: [(&str, &str); 11] = [
    ("tenant", "AZURE_TENANT_ID"),
    ("app", "AZURE_CLIENT_ID"),
    ("authority-host", "AZURE_AUTHORITY_HOST"),
    ("client-certificate-file", "AZURE_CLIENT_CERTIFICATE_PATH"),
    ("federated-token-file", "AZURE_FEDERATED_TOKEN_FILE"),
    ("base-url", "TAGFLEET_BASE_URL"),
    ("state-dir", "TAGFLEET_STATE_DIR"),
    ("state", "TAGFLEET_STATE"),
    ("client-secret-file", "AZURE_CLIENT_SECRET"),
    ("token-file", "TAGFLEET_TOKEN"),
    ("ping-url-file", "TAGFLEET_PING_URL"),
];

/// Keys that hold for some commands only: these names of files would be those of other rows there.
const ONLY_FOR: [(&str, &[&str]); 1] = [("output", &["apply"])];

/// What others call a key.
const SYNONYMS: [(&str, &str); 6] = [
    ("tenant-id", "tenant"),
    ("directory-id", "tenant"),
    ("client-id", "app"),
    ("app-id", "app"),
    ("results", "output"),
    ("certificate-file", "client-certificate-file"),
];

/// A name with so many slips of the pen is still the same name.
const MOST_SLIPS: usize = 2;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Flag,
    Number,
    /// A number, or a text such as 5%.
    Share,
    Text,
    /// A path; one that is not absolute begins at the folder of the file that it stands in.
    Path,
}

/// Something that can be set.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// What it is called in a file: as the option, without hyphens before it.
    pub(super) name: String,
    kind: Kind,
    is_list: bool,
    /// Its option; `None` for what stands for a variable only.
    option: Option<Arg>,
    /// The variable that goes before it.
    pub(super) variable: Option<&'static str>,
}

impl Key {
    fn of(argument: &Arg) -> Option<Self> {
        let name = argument.get_long()?.to_owned();
        let parser = argument.get_value_parser();
        let is = |types: &[TypeId]| types.iter().any(|known| parser.type_id() == *known);
        let kind = match argument.get_action() {
            ArgAction::SetTrue => Kind::Flag,
            _ if is(&[TypeId::of::<u8>(), TypeId::of::<u16>(), TypeId::of::<u32>()]) => Kind::Number,
            _ if is(&[TypeId::of::<MaximumErrors>()]) => Kind::Share,
            _ if is(&[TypeId::of::<PathBuf>()]) => Kind::Path,
            _ => Kind::Text,
        };
        Some(Self {
            kind,
            is_list: argument.get_value_delimiter().is_some() || matches!(argument.get_action(), ArgAction::Append),
            option: Some(argument.clone()),
            variable: VARIABLES.iter().find(|(key, _)| *key == name).map(|(_, variable)| *variable),
            name,
        })
    }

    /// Whether it stands for a variable that no option goes before.
    pub(super) const fn is_of_environment(&self) -> bool {
        self.option.is_none()
    }

    /// Whether it says something to this command, whose names are these from the outside in.
    pub(super) fn is_for(&self, command: &[&str]) -> bool {
        let only = ONLY_FOR.iter().find(|(key, _)| *key == self.name).map(|(_, commands)| *commands);
        only.is_none_or(|commands| command.iter().any(|name| commands.contains(name)))
    }

    /// What its option is called among those that were matched.
    pub(super) fn id(&self) -> Option<&str> {
        self.option.as_ref().map(|option| option.get_id().as_str())
    }

    /// What holds where nobody sets it.
    pub(super) fn default(&self) -> Option<String> {
        let option = self.option.as_ref()?;
        let values: Vec<_> = option.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        match option.get_action() {
            ArgAction::SetTrue => Some("false".to_owned()),
            _ if values.is_empty() => None,
            _ => Some(values.join(",")),
        }
    }

    /// The values that an entry sets, checked.
    pub(super) fn values(&self, entry: &Entry) -> Result<Vec<OsString>, SettingsError> {
        let items = match &entry.value {
            Written::List(items) if self.is_list => items.iter().collect(),
            other => vec![other],
        };
        items.into_iter().map(|item| self.value(item, &entry.place)).collect()
    }

    fn value(&self, written: &Written, place: &Place) -> Result<OsString, SettingsError> {
        let text = match (self.kind, written) {
            (Kind::Flag, Written::Flag(flag)) => return Ok(flag.to_string().into()),
            (Kind::Number | Kind::Share, Written::Number(number)) => number,
            (Kind::Share | Kind::Text | Kind::Path, Written::Text(text)) => text,
            _ => return Err(SettingsError::at(place, &format!("{} {}", self.name, self.form()), None)),
        };
        if text.trim().is_empty() {
            return Err(SettingsError::at(place, &format!("{} is empty", self.name), Some("leave it out".to_owned())));
        }
        if self.name == "ping-url-file" && text.contains("://") {
            secrets::keep(&text.as_str().into());
            let problem = "ping-url-file is no file: an address to ping is a secret, and no secret stands in this file";
            let hint = "write the address into a file that only you can read, and name that file".to_owned();
            return Err(SettingsError::at(place, problem, Some(hint)));
        }
        if self.kind == Kind::Path {
            secrets::keep_unless_path(text);
        }
        if self.name == "state" && keep_password_of(text) {
            let problem = "the address of the state holds a password, and no secret stands in this file";
            let hint = "write it into a file that only you can read, and name that file with state-password-file";
            return Err(SettingsError::at(place, problem, Some(hint.to_owned())));
        }
        if ["base-url", "authority-host"].contains(&self.name.as_str()) && keep_password_of(text) {
            let problem = format!("{} holds a password, and no secret stands in this file", self.name);
            return Err(SettingsError::at(place, &problem, Some("leave it out; the service asks for none".to_owned())));
        }
        let value = match self.kind {
            Kind::Path if text != "-" => place.path.parent().unwrap_or(Path::new("")).join(text).into_os_string(),
            _ => text.into(),
        };
        self.check(&value, place)?;
        Ok(value)
    }

    /// How it is written.
    const fn form(&self) -> &'static str {
        match self.kind {
            Kind::Flag => "is either true or false, without quotation marks",
            Kind::Number if self.is_list => "is a whole number without quotation marks, or a list such as [0, 5]",
            Kind::Number => "is a whole number, without quotation marks",
            Kind::Share => "is a whole number, or a text such as \"5%\"",
            Kind::Text | Kind::Path if self.is_list => "is a text in quotation marks, or a list of them in brackets",
            Kind::Text | Kind::Path => "is a text in quotation marks",
        }
    }

    fn check(&self, value: &OsString, place: &Place) -> Result<(), SettingsError> {
        let Some(option) = &self.option else { return Ok(()) };
        let parser = option.get_value_parser().clone();
        let value_name = option.get_value_names().and_then(|names| names.first()).map_or("VALUE", |name| name.as_str());
        // As it is typed, but without what else would have to be typed or not.
        let option = Arg::new("value").long(self.name.clone()).value_name(value_name.to_owned());
        let option = option.value_parser(parser).action(ArgAction::Set).num_args(1).require_equals(true);
        let mut typed = OsString::from(format!("--{}=", self.name));
        typed.push(value);
        let checked = Command::new("settings").no_binary_name(true).arg(option).try_get_matches_from([typed]);
        checked.map(drop).map_err(|error| {
            let (message, hint) = message_and_hint(&error);
            let message = message.replace(&format!("'--{}=<{value_name}>'", self.name), &self.name);
            SettingsError::at(place, &message, hint)
        })
    }
}

/// Everything that can be set.
#[derive(Debug)]
pub(super) struct Keys(Vec<Key>);

impl Keys {
    /// The keys that this program's options come to, in their order.
    pub(super) fn of(program: &Command) -> Self {
        let own = |name: &str, variable| Key {
            name: name.to_owned(),
            kind: if name.ends_with("-file") { Kind::Path } else { Kind::Text },
            is_list: false,
            option: None,
            variable: Some(variable),
        };
        let options = options(program);
        let is_option = |name: &str| options.iter().any(|option| option.get_long() == Some(name));
        let of_environment =
            VARIABLES.iter().filter(|(name, _)| !is_option(name)).map(|(name, variable)| own(name, *variable));
        let mut keys: Vec<Key> = of_environment.collect();
        for key in options.into_iter().filter_map(Key::of).filter(|key| reason(&key.name).is_none()) {
            if !keys.iter().any(|known| known.name == key.name) {
                keys.push(key);
            }
        }
        Self(keys)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    /// The key that an entry is about.
    pub(super) fn find(&self, entry: &Entry) -> Result<&Key, SettingsError> {
        match self.0.iter().find(|key| key.name == entry.key) {
            Some(key) => Ok(key),
            None => Err(self.unknown(entry)),
        }
    }

    fn unknown(&self, entry: &Entry) -> SettingsError {
        let name = entry.key.to_lowercase().replace('_', "-");
        let misspelt = self.0.iter().find(|key| strsim::osa_distance(&key.name, &name) <= MOST_SLIPS);
        if misspelt.is_none() && is_secret(&name) {
            if let Written::Text(text) = &entry.value {
                secrets::keep(&text.as_str().into());
            }
            let problem = format!("{} would be a secret, and no secret stands in this file", shown(&entry.key));
            return SettingsError::at(&entry.place, &problem, Some(instead(&name)));
        }
        if let Some(reason) = reason(&name) {
            let problem = format!("{} cannot be set here: {reason}", shown(&entry.key));
            return SettingsError::at(&entry.place, &problem, None);
        }
        let of_variable = VARIABLES.iter().find(|(_, variable)| variable.eq_ignore_ascii_case(&entry.key));
        let meant = misspelt.map(|key| key.name.as_str()).or(of_variable.map(|(key, _)| *key));
        let meant = meant.or_else(|| SYNONYMS.iter().find(|(other, _)| *other == name).map(|(_, key)| *key));
        let nearest = meant.or_else(|| {
            let resemblance = |key: &Key| strsim::jaro_winkler(&key.name, &name);
            let nearest = self.0.iter().max_by(|one, other| resemblance(one).total_cmp(&resemblance(other)));
            nearest.map(|key| key.name.as_str())
        });
        let hint = nearest.map(|nearest| format!("the nearest is {nearest}; tagfleet config lists all"));
        SettingsError::at(&entry.place, &format!("there is no setting \"{}\"", shown(&entry.key)), hint)
    }
}

/// The options of every command that has settings, and of the program.
fn options(program: &Command) -> Vec<&Arg> {
    let outer = || program.get_subcommands().filter(|command| !WITHOUT_SETTINGS.contains(&command.get_name()));
    let inner = outer().flat_map(Command::get_subcommands);
    std::iter::once(program).chain(outer()).chain(inner).flat_map(Command::get_arguments).collect()
}

/// Why an option is no key.
fn reason(name: &str) -> Option<&'static str> {
    let mut excluded = EXCLUDED.iter();
    excluded.find(|(option, _)| *option == name).map(|(_, reason)| *reason)
}

/// Whether something called so would be a secret.
fn is_secret(name: &str) -> bool {
    let words = ["secret", "password", "passphrase", "token", "ping-url", "api-key", "private-key", "credential"];
    words.iter().any(|word| name.contains(word))
}

/// What to write in the place of a secret.
fn instead(name: &str) -> String {
    let file = match name {
        name if name.contains("ping") => "ping-url-file",
        name if name.contains("token") => "token-file",
        name if name.contains("certificate") || name.contains("key") || name.contains("phrase") => {
            "client-certificate-file"
        }
        _ => "client-secret-file",
    };
    format!("write it into a file that only you can read, and name that file with {file}")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::program::Cli;

    #[test]
    fn every_option_is_a_key_or_excluded_with_a_reason() {
        let program = Cli::command();
        let keys = Keys::of(&program);
        let longs: Vec<&str> = options(&program).into_iter().filter_map(Arg::get_long).collect();
        for long in &longs {
            let is_key = keys.iter().any(|key| key.name == *long);
            assert_ne!(is_key, reason(long).is_some(), "{long} is either a key or excluded");
        }
        for (excluded, reason) in &EXCLUDED {
            assert!(longs.contains(excluded) && reason.len() > 10, "{excluded} is no option any more");
        }
        for (_, key) in SYNONYMS {
            assert!(keys.iter().any(|known| known.name == key), "{key} is no key any more");
        }
        for (key, commands) in ONLY_FOR {
            let exist = commands.iter().all(|name| program.find_subcommand(name).is_some());
            assert!(exist && keys.iter().any(|known| known.name == key), "{key}");
        }
    }

    /// An option that is added is a key at once, unless it is excluded: whoever adds one decides that, and writes it here.
    #[test]
    fn these_are_the_keys() {
        let keys = Keys::of(&Cli::command());
        let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
        insta::assert_snapshot!(names.join(" "), @"tenant app authority-host client-certificate-file federated-token-file state-dir state state-password-file state-auth ca-file log-format log-file color encoding skip-invalid accept tag-separator allow-empty output max-changes unlisted no-inventory no-bulk guard-removals guard-changes max-errors deadline skip-missing-machines lock-wait keep-runs metrics-file job ping-url-file ping-style ping-success base-url cloud allow-host auth no-browser client-secret-file token-file quota quota-scope quota-share concurrency max-outage");
    }

    #[test]
    fn an_option_that_a_variable_can_set_gives_way_to_it() {
        let program = Cli::command();
        for option in options(&program) {
            let help = option.get_long_help().map(ToString::to_string).unwrap_or_default();
            let Some((_, named)) = help.split_once("[env: ") else { continue };
            let variable = named.split(']').next();
            let key = Keys::of(&program).0.into_iter().find(|key| Some(key.name.as_str()) == option.get_long());
            let name = option.get_long().unwrap_or_default();
            assert!(key.is_none_or(|key| key.variable == variable), "{name} and {variable:?} are not in the table");
        }
    }
}
