//! `man`: the manual pages, one for each command and each topic.

use std::path::Path;
use std::{fs, io};

use clap::CommandFactory;
use clap_mangen::Man;
use roff::{Roff, bold, roman};
use serde_json::json;

use crate::cli::{Cli, GeneralOptions, ManOptions, examples, exit_statuses};
use crate::exit::{CommandError, ExitStatus};
use crate::help::{MANUAL_DATE, TOPICS, manual_page};
use crate::outside::shown;
use crate::report::{Ending, Screen};

pub(super) fn man(options: &ManOptions, general: &GeneralOptions, screen: &Screen) -> Result<ExitStatus, CommandError> {
    let pages = command_pages().map_err(|error| CommandError::new(ExitStatus::StorageFailed, error, None))?;
    let main = pages.last().map(|(_, page)| page.clone()).unwrap_or_default();
    if let Some(directory) = &options.directory {
        let topics = TOPICS.iter().map(|topic| (format!("tagfleet-{}.7", topic.name), manual_page(topic)));
        write(&directory.join("man1"), pages)?;
        write(&directory.join("man7"), topics)?;
    }
    if general.json {
        screen.object(json!({"text": main}), &Ending::finished(ExitStatus::Done.code()))?;
    } else if options.directory.is_none() {
        screen.data(&main)?;
    }
    Ok(ExitStatus::Done)
}

/// Writes the pages of a section into its folder.
fn write(section: &Path, pages: impl IntoIterator<Item = (String, String)>) -> Result<(), CommandError> {
    let failed = |path: &Path, error: io::Error| {
        let message = format!("{} could not be written: {error}", shown(path));
        CommandError::text(ExitStatus::StorageFailed, message, None)
    };
    fs::create_dir_all(section).map_err(|error| failed(section, error))?;
    for (name, page) in pages {
        let path = section.join(name);
        fs::write(&path, page).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

/// The pages of section 1 with their files' names, that of the program itself last.
fn command_pages() -> io::Result<Vec<(String, String)>> {
    let mut program = Cli::command();
    program.build();
    let inner = program.get_subcommands().flat_map(|command| {
        let inner = command.get_subcommands().filter(|inner| inner.get_name() != "help");
        std::iter::once(command).chain(inner)
    });
    let commands = inner.chain([&program]);
    commands.map(command_page).collect()
}

fn command_page(command: &clap::Command) -> io::Result<(String, String)> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let page = Man::new(command.clone()).title(name.to_uppercase()).date(MANUAL_DATE).manual("tagfleet");
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if command.has_subcommands() {
        page.render_subcommands_section(&mut text)?;
    }
    let typed = name.trim_start_matches("tagfleet-").replace('-', " ");
    examples_section(&typed).to_writer(&mut text)?;
    exit_status_section(&typed).to_writer(&mut text)?;
    see_also().to_writer(&mut text)?;
    // Formatters complain about a blank line between two breaks, and about blanks at the end of a line.
    let text = String::from_utf8_lossy(&text).replace("\n.br\n\n.br\n", "\n.sp\n").replace(" \n", "\n");
    Ok((page.get_filename(), text))
}

fn examples_section(command: &str) -> Roff {
    let mut section = Roff::new();
    if !examples(command).is_empty() {
        section.control("SH", ["EXAMPLES"]);
    }
    for (purpose, typed) in examples(command) {
        section.control("TP", []).text([roman(format!("{purpose}:"))]).text([bold(*typed)]);
    }
    section
}

fn exit_status_section(command: &str) -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["EXIT STATUS"]);
    for (status, meaning) in exit_statuses(command) {
        section.control("TP", []).text([bold(status.to_string())]).text([roman(meaning)]);
    }
    section
}

fn see_also() -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["SEE ALSO"]);
    for (position, topic) in TOPICS.iter().enumerate() {
        let end = if position + 1 < TOPICS.len() { "(7)," } else { "(7)" };
        section.text([bold(format!("tagfleet-{}", topic.name)), roman(end)]);
    }
    section
}
