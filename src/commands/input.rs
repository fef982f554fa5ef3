//! The input that was named: a file, or standard input.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::cli::InputOptions as InputArguments;
use crate::config::ConfigError;
use crate::exit::CommandError;
use crate::input::{InputOptions, encoding};
use crate::run::{InputOrder, OpenInput};

/// The path of the input's file; `None` for standard input.
pub(super) fn input_path(arguments: &InputArguments) -> Option<&Path> {
    Some(arguments.input.as_path()).filter(|path| *path != Path::new("-"))
}

/// The input, and how it is to be read. Machines may be named if the inventory is read to look them up in.
pub(super) fn input_order(arguments: &InputArguments, names_allowed: bool) -> Result<InputOrder, CommandError> {
    let encoding = match &arguments.encoding {
        None => None,
        Some(label) => Some(encoding(label).ok_or_else(|| ConfigError::Encoding(label.clone()))?),
    };
    let (name, path, open): (_, _, OpenInput) = match input_path(arguments) {
        None => {
            let name = "standard input".to_owned();
            (name.clone(), name, Box::new(|| Ok(Box::new(io::stdin().lock()))))
        }
        Some(path) => {
            let absolute = path.canonicalize().unwrap_or_else(|_gone| path.to_owned());
            let file = path.to_owned();
            let open = move || Ok(Box::new(File::open(file)?) as Box<dyn io::Read>);
            (path.to_string_lossy().into_owned(), absolute.to_string_lossy().into_owned(), Box::new(open))
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
