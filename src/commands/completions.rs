//! `completions`: what completes commands and options in a shell.

use clap::builder::PossibleValuesParser;
use clap::{Arg, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use crate::cli::{Cli, CompletionsOptions, GeneralOptions};
use crate::exit::{CommandError, ExitStatus};
use crate::help::TOPICS;
use crate::report::{Ending, Screen};

pub(super) fn completions(
    options: &CompletionsOptions,
    general: &GeneralOptions,
    screen: &Screen,
) -> Result<ExitStatus, CommandError> {
    let script = script(options.shell);
    if general.json {
        screen.object(json!({"text": script}), &Ending::finished(ExitStatus::Done.code()))?;
    } else {
        screen.data(&script)?;
    }
    Ok(ExitStatus::Done)
}

/// The script for a shell. Topics are no values of their option, so that a mistyped one gets its nearest name; here they are.
fn script(shell: Shell) -> String {
    let program = Cli::command();
    let commands = program.get_subcommands().map(|command| command.get_name().to_owned());
    let mut named: Vec<String> = commands.chain(TOPICS.iter().map(|topic| topic.name.to_owned())).collect();
    named.sort();
    named.dedup();
    let hidden = program.get_arguments().filter(|argument| argument.is_hide_set()).filter_map(Arg::get_long);
    let hidden: Vec<String> = hidden.map(|name| format!(" --{name}")).collect();
    let mut program = program.mut_subcommand("help", |help| {
        help.mut_arg("topic", |topic| topic.value_parser(PossibleValuesParser::new(named)))
    });
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, "tagfleet", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    // The list of options for bash has those that are hidden, too.
    hidden.iter().fold(script, |script, option| script.replace(&format!("{option} "), " "))
}
