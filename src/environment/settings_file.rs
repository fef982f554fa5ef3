//! A file of settings as it is written: its sections, their keys and values, and the line of each. What a key means is for
//! [`crate::cli`], which knows the options.
//!
//! No secret is to stand in such a file. One that stands there nevertheless is in no message: a line is named and never
//! repeated.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::variables::Environment;
use crate::outside::shown;

/// What holds for everybody on this computer.
const OF_THE_COMPUTER: &str = "/etc/tagfleet/config.toml";
/// Where the file of a user lies, in the folder for settings.
const OF_A_USER: &str = "tagfleet/config.toml";
/// A hundred thousand settings are no settings.
const LARGEST_FILE_BYTES: u64 = 1024 * 1024;

/// Where something is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub path: Arc<Path>,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", shown(&*self.path), self.line)
    }
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct SettingsError {
    message: String,
    hint: Option<String>,
    #[source]
    source: Option<io::Error>,
}

impl SettingsError {
    /// Something that is wrong in general.
    pub(crate) fn new(message: String, hint: Option<String>) -> Self {
        Self { message, hint, source: None }
    }

    /// Something that is wrong in this line.
    pub(crate) fn at(place: &Place, problem: &str, hint: Option<String>) -> Self {
        Self::new(format!("{place}: {problem}"), hint)
    }

    fn unreadable(path: &Path, source: io::Error) -> Self {
        let hint = "check that it is there, and that this account may read it".to_owned();
        Self { message: format!("cannot read {}", shown(path)), hint: Some(hint), source: Some(source) }
    }

    /// What the user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

/// A value as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// A text in quotation marks.
    Text(String),
    /// A whole number.
    Number(String),
    /// True or false.
    Flag(bool),
    /// Several of these.
    List(Vec<Self>),
    /// Something that no setting can be, and what TOML calls it.
    Other(&'static str),
}

impl Written {
    fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.clone().into_owned()),
            DeValue::Integer(number) if number.radix() == 10 => Self::Number(number.as_str().to_owned()),
            DeValue::Boolean(flag) => Self::Flag(*flag),
            DeValue::Array(items) => Self::List(items.iter().map(|item| Self::of(item.get_ref())).collect()),
            other => Self::Other(other.type_str()),
        }
    }
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub key: String,
    pub value: Written,
    /// Where it stands.
    pub place: Place,
}

/// What stands under one heading.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    /// The name of the profile; `None` for what holds for all of them.
    pub profile: Option<String>,
    /// What is set there, in the order of the file.
    pub entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
pub(crate) struct SettingsFile {
    pub path: Arc<Path>,
    /// Its sections, in the order of the file.
    pub sections: Vec<Section>,
}

impl SettingsFile {
    /// Reads the file that is named; without one, that of the computer and that of the user, as far as they are there. What
    /// stands in a later one goes before what stands in an earlier one.
    ///
    /// # Errors
    /// [`SettingsError`] for a file that cannot be read or understood, or that everybody can change.
    pub(crate) fn read_all(named: Option<&Path>, environment: Environment<'_>) -> Result<Vec<Self>, SettingsError> {
        match named {
            Some(path) => Ok(vec![Self::read(path)?]),
            None => places(environment).iter().filter(|path| path.exists()).map(|path| Self::read(path)).collect(),
        }
    }

    fn read(path: &Path) -> Result<Self, SettingsError> {
        let unreadable = |error| SettingsError::unreadable(path, error);
        let about = path.metadata().map_err(unreadable)?;
        if !about.is_file() {
            return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, "it is no ordinary file")));
        }
        if about.len() > LARGEST_FILE_BYTES {
            return Err(unreadable(io::Error::from(io::ErrorKind::FileTooLarge)));
        }
        if everybody_can_change(&about) {
            let message = format!("all users of this computer can change {}", shown(path));
            return Err(SettingsError::new(message, Some("take that permission away (chmod o-w)".to_owned())));
        }
        let mut text = String::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(LARGEST_FILE_BYTES).read_to_string(&mut text).map_err(unreadable)?;
        Self::parse(path, text.trim_start_matches('\u{feff}'))
    }

    /// Understands the text of a file.
    ///
    /// # Errors
    /// [`SettingsError`] when it is no TOML, or has other sections.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, SettingsError> {
        let path: Arc<Path> = path.into();
        let place = |span: Range<usize>| Place { path: Arc::clone(&path), line: line_of(text, span.start) };
        let table = DeTable::parse(text).map_err(|error| {
            // Only what was expected: what stands there may be anything.
            let message = error.message().lines().next().unwrap_or_default().to_owned();
            SettingsError::at(&place(error.span().unwrap_or_default()), &message, None)
        })?;
        let mut sections = Vec::new();
        for (heading, value) in table.get_ref() {
            match (heading.get_ref().as_ref(), value.get_ref()) {
                ("defaults", DeValue::Table(entries)) => {
                    sections.push((value.span(), Section { profile: None, entries: entries_of(entries, &place) }));
                }
                ("profile", DeValue::Table(profiles)) => {
                    for (name, value) in profiles {
                        let place_of_name = place(name.span());
                        let DeValue::Table(entries) = value.get_ref() else {
                            let problem = format!("\"{}\" stands in no profile", shown(name.get_ref().as_ref()));
                            let hint = "a profile begins with a line such as [profile.contoso]".to_owned();
                            return Err(SettingsError::at(&place_of_name, &problem, Some(hint)));
                        };
                        let name = checked_name(name.get_ref(), &place_of_name)?;
                        let entries = entries_of(entries, &place);
                        sections.push((value.span(), Section { profile: Some(name), entries }));
                    }
                }
                (other, _) => return Err(outside_of_sections(other, &place(heading.span()))),
            }
        }
        sections.sort_by_key(|(span, _)| span.start);
        let sections = sections.into_iter().map(|(_, section)| section).collect();
        Ok(Self { path, sections })
    }
}

fn entries_of(table: &DeTable<'_>, place: &impl Fn(Range<usize>) -> Place) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().clone().into_owned(),
            value: Written::of(value.get_ref()),
            place: place(key.span()),
        })
        .collect();
    entries.sort_by_key(|entry| entry.place.line);
    entries
}

/// The name of a profile becomes a part of the names of files, and of lines.
fn checked_name(name: &str, place: &Place) -> Result<String, SettingsError> {
    const MOST_CHARACTERS: usize = 64;
    let is_fit = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    if !name.is_empty() && name.len() <= MOST_CHARACTERS && name.chars().all(is_fit) {
        return Ok(name.to_owned());
    }
    let problem = format!("\"{}\" cannot be the name of a profile", shown(name));
    Err(SettingsError::at(place, &problem, Some("use letters, digits, - and _, at most 64 of them".to_owned())))
}

fn outside_of_sections(heading: &str, place: &Place) -> SettingsError {
    let hint = match heading {
        "default" | "Defaults" => "write [defaults]",
        "profiles" | "Profile" => "write [profile.NAME]",
        _ => "settings stand below a line such as [defaults] or [profile.contoso]",
    };
    SettingsError::at(place, &format!("\"{}\" stands in no section", shown(heading)), Some(hint.to_owned()))
}

/// Where files of settings lie unless one is named, the farthest first.
pub(crate) fn places(environment: Environment<'_>) -> Vec<PathBuf> {
    let directory = |name: &str| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let of_user = if cfg!(windows) {
        directory("APPDATA")
    } else {
        directory("XDG_CONFIG_HOME").or_else(|| directory("HOME").map(|home| home.join(".config")))
    };
    let of_computer = cfg!(unix).then(|| PathBuf::from(OF_THE_COMPUTER));
    of_computer.into_iter().chain(of_user.map(|directory| directory.join(OF_A_USER))).collect()
}

fn line_of(text: &str, position: usize) -> usize {
    1 + text.get(..position).unwrap_or(text).matches('\n').count()
}

#[cfg(unix)]
fn everybody_can_change(about: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    about.permissions().mode() & 0o002 != 0
}

#[cfg(not(unix))]
fn everybody_can_change(_about: &std::fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SettingsFile, String> {
        SettingsFile::parse(Path::new("/c.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn sections_keys_and_lines_are_read_in_the_order_of_the_file() {
        let text = "# what holds for all\n[defaults]\nquota = \"off\"\n\n[profile.b]\nno-bulk = true\n\
                    ping-success = [0, 5]\n[profile.a]\nconcurrency = 4\n";
        let file = parse(text).expect("settings");
        let names: Vec<_> = file.sections.iter().map(|section| section.profile.as_deref()).collect();
        assert_eq!(names, [None, Some("b"), Some("a")]);
        let written: Vec<String> = file
            .sections
            .iter()
            .flat_map(|section| &section.entries)
            .map(|entry| format!("{} {} {:?}", entry.place, entry.key, entry.value))
            .collect();
        let expected = [
            r#"/c.toml:3 quota Text("off")"#,
            "/c.toml:6 no-bulk Flag(true)",
            r#"/c.toml:7 ping-success List([Number("0"), Number("5")])"#,
            r#"/c.toml:9 concurrency Number("4")"#,
        ];
        assert_eq!(written, expected);
    }

    #[test]
    fn what_cannot_be_understood_is_named_by_its_line_and_never_repeated() {
        for (text, expected) in [
            ("[defaults]\nclient-secret = \"hunter2hunter2\n", "/c.toml:2: "),
            ("[defaults]\nnote = hunter2hunter2\n", "/c.toml:2: "),
            ("[defaults]\nquota = \"a\"\nquota = \"b\"\n", "/c.toml:3: "),
            ("quota = \"off\"\n", "/c.toml:1: \"quota\" stands in no section"),
            ("\n[profiles.a]\n", "/c.toml:2: \"profiles\" stands in no section"),
            ("[profile]\ntenant = \"t\"\n", "/c.toml:2: \"tenant\" stands in no profile"),
            ("[profile.\"../a\"]\n", "/c.toml:1: \"../a\" cannot be the name of a profile"),
        ] {
            let error = parse(text).expect_err("no settings");
            assert!(error.starts_with(expected) && !error.contains("hunter2"), "{text}: {error}");
        }
    }

    #[test]
    fn files_lie_where_the_platform_keeps_settings() {
        let variables = [("XDG_CONFIG_HOME", "/x"), ("HOME", "/home/u")];
        let found = |known: &[(&str, &str)]| {
            let known: Vec<_> = known.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            places(&|name| known.iter().find(|(known, _)| known == name).map(|(_, value)| value.into()))
        };
        if cfg!(unix) {
            let computer = PathBuf::from("/etc/tagfleet/config.toml");
            assert_eq!(found(&variables), [computer.clone(), "/x/tagfleet/config.toml".into()]);
            assert_eq!(found(&variables[1..]), [computer.clone(), "/home/u/.config/tagfleet/config.toml".into()]);
            assert_eq!(found(&[("XDG_CONFIG_HOME", "relative")]), [computer]);
        }
    }
}
