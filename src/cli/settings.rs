//! What stands in files of settings, under what was typed: an option goes before a variable, a variable before the profile,
//! the profile before what holds for all.
//!
//! A file is laid under the command line as other defaults of its options, so that a value in a file is read, checked and
//! refused like a typed one, and no command knows where a value is from. What surprises: some settings are one thing together.
//! Whoever names another file to sign in with does not want the method of a farther one, and another cloud is not at a farther
//! one's address. And a variable that contradicts the profile about whom it is for ends the command: one of the two is
//! somebody else's tenant.

mod keys;
mod origins;
mod setting;
mod variables;

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{ArgMatches, Command};

use self::keys::{Keys, WITHOUT_SETTINGS};
use self::setting::{Setting, is_credential, is_overruled, is_set, replaces};
use super::origin::SettingInForce;
use super::rules::{NOT_OF_RULES, is_rules};
use crate::environment::{Environment, Profile, SettingsError, SettingsFile, settings_places};
use crate::input::is_same_tenant;
use crate::outside::shown;

/// The variable that names the profile.
const PROFILE_VARIABLE: &str = "TAGFLEET_PROFILE";

/// What a command line comes to with the files of settings.
pub(super) struct Chosen {
    /// The program with what is set as the defaults of its options.
    pub(super) program: Command,
    /// What is set besides options.
    pub(super) profile: Profile,
    /// The profiles that the command is for, where that is one process for each.
    pub(super) several: Vec<String>,
    /// Each setting, for whoever asks.
    pub(super) in_force: Vec<SettingInForce>,
}

/// What was typed, as far as settings go.
struct Call {
    /// The command, from the outside in.
    command: Vec<String>,
    /// Options with a value of their own.
    typed: BTreeSet<String>,
    /// Whether its input is a file of rules.
    is_of_rules: bool,
}

impl Call {
    fn of(program: &Command, matches: &ArgMatches) -> Self {
        let mut call = Self { command: Vec::new(), typed: BTreeSet::new(), is_of_rules: false };
        let (mut command, mut matches) = (program, matches);
        loop {
            let is_typed = |argument: &&clap::Arg| {
                let id = argument.get_id().as_str();
                let is_there = matches.try_contains_id(id).is_ok();
                is_there && matches.value_source(id) == Some(clap::parser::ValueSource::CommandLine)
            };
            let typed = command.get_arguments().filter(is_typed).filter_map(|argument| argument.get_long());
            call.typed.extend(typed.map(str::to_owned));
            let input = matches.try_get_one::<PathBuf>("input").ok().flatten();
            call.is_of_rules |= input.is_some_and(|input| is_rules(input));
            let Some((name, inner)) = matches.subcommand() else { return call };
            let Some(inner_command) = command.find_subcommand(name) else { return call };
            call.command.push(name.to_owned());
            (command, matches) = (inner_command, inner);
        }
    }

    fn path(&self) -> Vec<&str> {
        self.command.iter().map(String::as_str).collect()
    }

    /// Whether a setting says something of files of orders, and the command has none. How a list is read matters where one
    /// is named.
    fn has_no_use_for(&self, key: &str) -> bool {
        self.is_of_rules
            && NOT_OF_RULES.iter().any(|it| it.name == key && it.is_useless(self.typed.contains("inventory")))
    }

    /// Whether it only says what is set, of whatever other command.
    fn tells_settings(&self) -> bool {
        matches!(self.path()[..], ["config" | "check"])
    }

    /// Whether the command goes to a tenant, and whoever it signs in as matters.
    fn calls_service(&self) -> bool {
        const OF_THE_STATE: [&str; 4] = ["runs", "results", "report", "state"];
        let is_of_state = self.command.iter().any(|name| OF_THE_STATE.contains(&name.as_str()));
        !is_of_state && !self.typed.contains("sandbox")
    }
}

/// All that the files say, checked.
struct Book {
    settings: Vec<Setting>,
    /// The profiles, in the order in which they come.
    profiles: Vec<String>,
    files: Vec<PathBuf>,
}

impl Book {
    fn of(files: &[SettingsFile], keys: &Keys) -> Result<Self, SettingsError> {
        let files_read = files.iter().map(|file| file.path.to_path_buf()).collect();
        let mut book = Self { settings: Vec::new(), profiles: Vec::new(), files: files_read };
        for section in files.iter().flat_map(|file| &file.sections) {
            if let Some(name) = section.profile.as_ref().filter(|name| !book.profiles.contains(name)) {
                book.profiles.push(name.clone());
            }
            for entry in &section.entries {
                let key = keys.find(entry)?;
                let (profile, place) = (section.profile.clone(), entry.place.clone());
                book.settings.push(Setting { profile, values: key.values(entry)?, key: key.clone(), place });
            }
        }
        book.check_names()?;
        Ok(book)
    }

    /// Refuses names by which a row could be for two tenants: whatever their case, rows name profiles and tenants alike.
    fn check_names(&self) -> Result<(), SettingsError> {
        let hint = || Some("give one of them another name: rows name profiles and tenants in any case".to_owned());
        for (place, name) in self.profiles.iter().enumerate() {
            let is_meant = |other: &str| is_same_tenant(other, name);
            if let Some(other) = self.profiles.iter().skip(place + 1).find(|other| is_meant(other)) {
                return Err(SettingsError::new(format!("two profiles are called {name} and {other}"), hint()));
            }
            let own = self.tenant(name);
            let is_others = |other: &&String| self.tenant(other).as_deref().is_some_and(is_meant);
            if let Some(other) = self.profiles.iter().find(is_others)
                && !own.as_deref().is_some_and(is_meant)
            {
                let message = format!("the profile {name} is called as the tenant of the profile {other}");
                return Err(SettingsError::new(message, hint()));
            }
        }
        Ok(())
    }

    /// The settings of a profile, or of all; of those that stand in two files the nearer.
    fn layer(&self, profile: Option<&str>) -> Vec<&Setting> {
        let mut layer: Vec<&Setting> = Vec::new();
        for setting in self.settings.iter().filter(|setting| setting.profile.as_deref() == profile) {
            layer.retain(|farther| farther.key.name != setting.key.name);
            layer.push(setting);
        }
        layer
    }

    /// Refuses that two profiles which run together write into one file: what the one wrote would be lost, or stand in a file
    /// that nobody looks for. A log takes the lines of both.
    fn refuse_common_files(&self, profiles: &[String], call: &Call, program: &Command) -> Result<(), SettingsError> {
        let layers = profiles.iter().flat_map(|name| self.layer(Some(name)));
        let outputs: Vec<&Setting> = layers
            .filter(|setting| ["output", "metrics-file"].contains(&setting.key.name.as_str()))
            .filter(|setting| {
                let path = call.path();
                // Whoever asks what is set is told that.
                path == ["check"]
                    || (path != ["config"] && setting.key.is_for(&path) && takes(program, &path, &setting.key.name))
            })
            .filter(|setting| !call.typed.contains(&setting.key.name))
            .collect();
        for (place, one) in outputs.iter().enumerate() {
            if let Some(other) = outputs.iter().skip(place + 1).find(|other| other.is_same_file_as(one)) {
                let message = format!(
                    "two profiles write into {}: {} and {}",
                    shown(&one.text().unwrap_or_default()),
                    one.place,
                    other.place
                );
                return Err(SettingsError::new(message, Some("give each profile a file of its own".to_owned())));
            }
        }
        Ok(())
    }

    /// What is in force for a profile.
    fn in_force(
        &self,
        profile: Option<&str>,
        call: &Call,
        environment: Environment<'_>,
    ) -> Result<Vec<&Setting>, SettingsError> {
        let mut near = profile.map(|name| self.layer(Some(name))).unwrap_or_default();
        let mut far = self.layer(None);
        far.retain(|farther| !near.iter().any(|nearer| replaces(&nearer.key.name, &farther.key.name)));
        for layer in [&mut near, &mut far] {
            layer.retain(|setting| !call.typed.iter().any(|typed| replaces(typed, &setting.key.name)));
        }
        if call.calls_service() {
            variables::check(&near, environment)?;
        }
        if variables::method(environment).is_some() {
            far.retain(|setting| !is_credential(&setting.key.name));
        }
        let mut both = far;
        both.extend(near);
        both.retain(|setting| !is_overruled(&setting.key, environment));
        if call.tells_settings() {
            return Ok(both);
        }
        both.retain(|setting| setting.key.is_for(&call.path()) && !call.has_no_use_for(&setting.key.name));
        let has_metrics = call.typed.contains("metrics-file") || both.iter().any(|it| it.key.name == "metrics-file");
        both.retain(|setting| has_metrics || setting.key.name != "job");
        Ok(both)
    }

    /// The tenant that a profile is for, whatever the environment says.
    fn tenant(&self, profile: &str) -> Option<String> {
        let own = self.layer(Some(profile)).into_iter().chain(self.layer(None));
        own.into_iter().find(|setting| setting.key.name == "tenant").and_then(Setting::text)
    }

    /// The profiles that are meant.
    fn chosen(&self, matches: &ArgMatches, environment: Environment<'_>) -> Result<Vec<String>, SettingsError> {
        let mut names: Vec<String> = matches.get_many::<String>("profile").into_iter().flatten().cloned().collect();
        if matches.get_flag("all_profiles") {
            if self.profiles.is_empty() {
                return Err(self.without_profile("--all-profiles finds no profile".to_owned(), environment));
            }
            names.clone_from(&self.profiles);
        }
        if names.is_empty() {
            let list = environment(PROFILE_VARIABLE).and_then(|value| value.into_string().ok()).unwrap_or_default();
            names = list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
        }
        let mut meant: Vec<String> = Vec::new();
        for name in names {
            if !self.profiles.contains(&name) {
                return Err(self.without_profile(format!("there is no profile \"{}\"", shown(&name)), environment));
            }
            if !meant.contains(&name) {
                meant.push(name);
            }
        }
        Ok(meant)
    }

    fn without_profile(&self, message: String, environment: Environment<'_>) -> SettingsError {
        let listed = |paths: &[PathBuf]| paths.iter().map(shown).collect::<Vec<_>>().join(" and ");
        let hint = match (self.files.as_slice(), self.profiles.as_slice()) {
            ([], _) => format!("write one into {}", listed(&settings_places(environment))),
            (files, []) => format!("{} has none; one begins with a line such as [profile.contoso]", listed(files)),
            (files, profiles) => format!("{} has {}", listed(files), profiles.join(", ")),
        };
        SettingsError::new(message, Some(hint))
    }
}

/// What files of settings say for this command line, if it has any use for them.
pub(super) fn choose(
    program: Command,
    matches: &ArgMatches,
    environment: Environment<'_>,
) -> Result<Chosen, SettingsError> {
    let call = Call::of(&program, matches);
    let mut chosen = Chosen { program, profile: Profile::default(), several: Vec::new(), in_force: Vec::new() };
    if call.command.first().is_none_or(|name| WITHOUT_SETTINGS.contains(&name.as_str())) {
        return Ok(chosen);
    }
    let keys = Keys::of(&chosen.program);
    let files = SettingsFile::read_all(matches.get_one::<PathBuf>("config").map(PathBuf::as_path), environment)?;
    let book = Book::of(&files, &keys)?;
    let names = book.chosen(matches, environment)?;
    let only = matches.get_one::<String>("only_profile").filter(|only| names.contains(only));
    if only.is_none() && (names.len() > 1 || matches.get_flag("all_profiles")) {
        for name in &names {
            book.in_force(Some(name), &call, environment)?;
        }
        book.refuse_common_files(&names, &call, &chosen.program)?;
        chosen.several = names;
        return Ok(chosen);
    }
    let name = only.or_else(|| names.first());
    let in_force = book.in_force(name.map(String::as_str), &call, environment)?;
    chosen.in_force = origins::of(&keys, &in_force, matches, environment);
    chosen.profile = profile(&book, name, &in_force, environment);
    chosen.profile.is_one_of_several = only.is_some();
    chosen.program = laid_under(chosen.program, &call.path(), &in_force);
    Ok(chosen)
}

fn profile(book: &Book, name: Option<&String>, in_force: &[&Setting], environment: Environment<'_>) -> Profile {
    let of_environment = in_force.iter().filter(|setting| setting.key.is_of_environment());
    let variables = of_environment.filter_map(|setting| Some((setting.key.variable?, setting.values.first()?.clone())));
    let of_defaults =
        || in_force.iter().find(|setting| setting.key.name == "tenant").and_then(|setting| setting.text());
    let tenant = match name {
        // Where a variable names a tenant, too, it is the same one.
        Some(name) if book.layer(Some(name)).iter().any(|setting| setting.key.name == "tenant") => book.tenant(name),
        _ if is_set(environment, "AZURE_TENANT_ID") => None,
        _ => of_defaults(),
    };
    let own = in_force.iter().filter(|setting| setting.profile.is_some());
    let names_of = |profile: &String| std::iter::once(profile.clone()).chain(book.tenant(profile));
    let others = book.profiles.iter().filter(|profile| Some(*profile) != name);
    Profile {
        name: name.cloned(),
        tenant,
        own_tenant: name.into_iter().flat_map(names_of).collect(),
        other_tenants: others.flat_map(names_of).collect(),
        variables: variables.collect(),
        own_keys: own.map(|setting| setting.key.name.clone()).collect(),
        is_one_of_several: false,
    }
}

/// Whether the command has this option.
fn takes(program: &Command, command: &[&str], option: &str) -> bool {
    let inner = command.split_first().and_then(|(name, rest)| Some((program.find_subcommand(name)?, rest)));
    program.get_arguments().any(|it| it.get_long() == Some(option))
        || inner.is_some_and(|(inner, rest)| takes(inner, rest, option))
}

/// The program, with settings in the place of its options' defaults.
fn laid_under(program: Command, command: &[&str], settings: &[&Setting]) -> Command {
    let program = settings.iter().fold(program, |program, setting| {
        let option = program.get_arguments().find(|option| option.get_long() == Some(&setting.key.name));
        match option.map(|option| option.get_id().clone()) {
            Some(id) => program.mut_arg(id, |option| option.default_values(setting.values.clone())),
            None => program,
        }
    });
    match command {
        [] => program,
        [name, inner @ ..] => program.mut_subcommand(name, |command| laid_under(command, inner, settings)),
    }
}

#[cfg(test)]
mod tests;
