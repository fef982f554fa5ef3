//! The input that was named: a file, or standard input.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::cli::InputOptions as InputArguments;
use crate::config::ConfigError;
use crate::exit::CommandError;
use crate::input::{InputOptions, encoding};
use crate::outside::shown;
use crate::run::{InputOrder, OpenInput};

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
pub(super) fn input_order(arguments: &InputArguments, names_allowed: bool) -> Result<InputOrder, CommandError> {
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
        options: InputOptions {
            encoding,
            accepted: arguments.accept.iter().copied().collect(),
            tag_separator: arguments.tag_separator,
            ..InputOptions::default()
        },
        skip_invalid: arguments.skip_invalid,
        allow_empty: arguments.allow_empty,
        names_allowed,
    })
}
