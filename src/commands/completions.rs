//! `completions`: what completes commands and options in a shell.

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, CommandFactory};
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
    let mut program = without_hidden(&program).mut_subcommand("help", |help| {
        help.mut_arg("topic", |topic| topic.value_parser(PossibleValuesParser::new(named)))
    });
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, "tagfleet", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    for command in program.get_subcommands() {
        let values: Vec<String> = command
            .get_positionals()
            .flat_map(Arg::get_possible_values)
            .filter(|value| !value.is_hide_set())
            .map(|value| value.get_name().to_owned())
            .collect();
        if !values.is_empty() {
            add_values(&mut script, shell, command.get_name(), &values);
        }
    }
    script
}

/// The program without the options that nobody is to type: scripts for some shells would offer them.
fn without_hidden(program: &Command) -> Command {
    let shown = program.get_arguments().filter(|argument| !argument.is_hide_set());
    Command::new("tagfleet")
        .version(program.get_version().unwrap_or_default().to_owned())
        .disable_help_subcommand(program.is_disable_help_subcommand_set())
        .args(shown.cloned())
        .subcommands(program.get_subcommands().cloned())
}

/// Has a script offer what may stand behind a command, which is left out for these shells.
fn add_values(script: &mut String, shell: Shell, command: &str, values: &[String]) {
    let add_behind = |beginning: &str, line: &dyn Fn(&str) -> String| {
        let lines: String = values.iter().map(|value| line(value)).collect();
        script.replacen(beginning, &format!("{beginning}{lines}"), 1)
    };
    *script = match shell {
        Shell::Fish => {
            let values = values.join(" ");
            let condition = format!("__fish_tagfleet_using_subcommand {command}");
            format!("{script}complete -c tagfleet -n \"{condition}\" -f -a \"{values}\"\n")
        }
        Shell::PowerShell => add_behind(&format!("'tagfleet;{command}' {{\n"), &|value| {
            let kind = "[CompletionResultType]::ParameterValue";
            format!("            [CompletionResult]::new('{value}', '{value}', {kind}, '{value}')\n")
        }),
        Shell::Elvish => add_behind(&format!("&'tagfleet;{command}'= {{\n"), &|value| {
            format!("            cand {value} '{value}'\n")
        }),
        _ => return,
    };
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn scripts_offer_no_hidden_option_and_what_stands_behind_commands() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for hidden in ["only-profile", "begun-at"] {
                assert!(!script.contains(hidden), "{shell}: {hidden}");
            }
            for shown in ["all-profiles", "log-file", "help", "version", "quotas", "unattended", "powershell"] {
                assert!(script.contains(shown), "{shell}: {shown}");
            }
        }
        let fish = script(Shell::Fish);
        let offered = |command: &str| {
            let beginning = format!("complete -c tagfleet -n \"__fish_tagfleet_using_subcommand {command}\" -f -a \"");
            fish.lines().find_map(|line| line.strip_prefix(beginning.as_str())).unwrap_or_default().to_owned()
        };
        assert_eq!(offered("completions"), "bash elvish fish powershell zsh\"");
        assert!(offered("help").contains(" quotas "), "{}", offered("help"));
    }
}
