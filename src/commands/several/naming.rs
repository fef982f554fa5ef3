//! What a profile's process writes, where it is one of several: each file under a name that has the profile in it.

use std::path::{Path, PathBuf};

use crate::cli::{Cli, Command};
use crate::report::is_stream;

/// The same command with names of its own for all that it writes. What the profile's own section names is its own already.
/// `default_results` names the results of an input.
pub(crate) fn with_own_names(mut cli: Cli, default_results: impl Fn(&Path, bool) -> PathBuf) -> Cli {
    let settings = &cli.general.settings;
    let Some(profile) = settings.name.clone().filter(|_| settings.is_one_of_several) else { return cli };
    let is_own = |key: &str| settings.own_keys.iter().any(|own| own == key);
    let (own_output, own_metrics, own_log) = (is_own("output"), is_own("metrics-file"), is_own("log-file"));
    let rename = |path: &mut Option<PathBuf>, is_own: bool| {
        if let Some(path) = path.as_mut().filter(|_| !is_own) {
            *path = named(path, &profile);
        }
    };
    // What is told is what a run of this profile writes.
    for (key, is_own) in [("output", own_output), ("metrics-file", own_metrics), ("log-file", own_log)] {
        let mut set = cli.general.in_force.iter_mut().filter(|setting| setting.key == key && !is_own);
        if let Some(path) = set.next().and_then(|setting| setting.value.as_mut()) {
            *path = named(Path::new(path), &profile).to_string_lossy().into_owned();
        }
    }
    rename(&mut cli.general.log_file, own_log);
    match &mut cli.command {
        Command::Apply(options) => {
            let default = || default_results(&options.input.input, options.sandbox);
            options.output.get_or_insert_with(default);
            rename(&mut options.output, own_output);
        }
        Command::Resume(options) => rename(&mut options.output, false),
        Command::Verify(options) => rename(&mut options.output, false),
        Command::Inventory(options) => rename(&mut options.output, false),
        Command::Tags(options) => {
            if let Some(command) = &mut options.command {
                let results = command.results();
                command.options_mut().output = Some(named(&results, &profile));
            }
        }
        _ => {}
    }
    if let Some(changing) = cli.command.changing_mut() {
        rename(&mut changing.report, false);
    }
    if let Some(monitoring) = cli.command.monitoring_mut() {
        rename(&mut monitoring.metrics_file, own_metrics);
    }
    cli
}

/// `x.results.csv` of the profile `a` is `x.a.results.csv`.
fn named(path: &Path, profile: &str) -> PathBuf {
    // It takes what all of them write.
    if path == Path::new("-") || is_stream(path) {
        return path.to_owned();
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let endings = [".sandbox.results.csv", ".results.csv"];
    let ending = endings.into_iter().find(|ending| name.ends_with(ending) && name.len() > ending.len());
    let begin = match ending {
        Some(ending) => name.len() - ending.len(),
        None => name.rfind('.').filter(|position| *position > 0).unwrap_or(name.len()),
    };
    let (stem, ending) = name.split_at_checked(begin).unwrap_or((&name, ""));
    path.with_file_name(format!("{stem}.{profile}{ending}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_stands_before_the_ending() {
        for (path, expected) in [
            ("dir/retag.results.csv", "dir/retag.a.results.csv"),
            ("retag.sandbox.results.csv", "retag.a.sandbox.results.csv"),
            ("x.prom", "x.a.prom"),
            ("/v/run.log", "/v/run.a.log"),
            ("rows", "rows.a"),
            (".results.csv", ".results.a.csv"),
            ("/dev/null", "/dev/null"),
            ("/dev/stderr", "/dev/stderr"),
            ("-", "-"),
        ] {
            assert_eq!(named(Path::new(path), "a"), Path::new(expected), "{path}");
        }
    }
}
