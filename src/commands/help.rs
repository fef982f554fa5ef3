//! `help`: a topic of the manual, or what a command takes.

use clap::CommandFactory;
use serde_json::json;

use crate::cli::{Cli, GeneralOptions, HelpOptions};
use crate::exit::{CommandError, ExitStatus};
use crate::help::{TOPICS, list, topic};
use crate::outside::shown;
use crate::report::{Ending, Screen};

/// How much a name must be like what was typed to be named, from 0 to 1 (Jaro and Winkler).
const ALIKE: f64 = 0.7;

pub(super) fn help(
    options: &HelpOptions,
    general: &GeneralOptions,
    screen: &Screen,
) -> Result<ExitStatus, CommandError> {
    let mut program = Cli::command();
    program.build();
    let (text, is_page) = match options.topic.as_deref() {
        None => {
            let topics = list();
            (format!("{}\nTopics, as in tagfleet help quotas:\n{topics}", program.render_long_help()), false)
        }
        Some(name) => match (topic(name), program.find_subcommand_mut(name)) {
            (Some(topic), None) => (topic.text.to_owned(), true),
            (Some(topic), Some(_)) => {
                (format!("{}\nIts options: `tagfleet {} --help`\n", topic.text, topic.name), true)
            }
            (None, Some(command)) => (command.render_long_help().to_string(), false),
            (None, None) => return Err(unknown(name, &program)),
        },
    };
    if general.json {
        screen.object(json!({"text": text}), &Ending::finished(ExitStatus::Done.code()))?;
    } else if is_page {
        screen.page(&text)?;
    } else {
        screen.data(&text)?;
    }
    Ok(ExitStatus::Done)
}

/// That there is no such topic, with the nearest name.
fn unknown(name: &str, program: &clap::Command) -> CommandError {
    let commands = program.get_subcommands().map(clap::Command::get_name);
    let nearest = TOPICS
        .iter()
        .map(|topic| topic.name)
        .chain(commands)
        .map(|known| (strsim::jaro_winkler(&name.to_lowercase(), known), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0));
    let hint = match nearest {
        Some((_, known)) => format!("did you mean 'tagfleet help {known}'?"),
        None => "'tagfleet help' lists topics and commands".to_owned(),
    };
    CommandError::text(ExitStatus::Usage, format!("unknown topic or command \"{}\"", shown(name)), Some(&hint))
}
