//! What was asked for, on standard output: texts, objects and lists, whole or in parts.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::{OutputError, Screen};
use crate::clock;
use crate::help;
use crate::outside::{json_document, terminal_escaped};
use crate::report::output::frame::{Ending, joined};
use crate::report::output::streams::DataStream;
use crate::report::output::wrapping::{item_for, wrapped_for};

/// Wider lines are hard to read.
const WIDEST_PAGE_COLUMNS: usize = 110;

impl Screen {
    /// Writes what was asked for to standard output.
    ///
    /// # Errors
    /// When it cannot be written; a reader or a terminal that went away is no failure.
    pub(crate) fn data(&self, text: &str) -> Result<(), OutputError> {
        self.has_data.store(true, Ordering::Relaxed);
        self.judged(self.streams.write_data(terminal_escaped(text, self.color).as_bytes()))
    }

    fn judged(&self, written: io::Result<()>) -> Result<(), OutputError> {
        match written {
            // A terminal that is there and was held is not one that went away.
            Err(error)
                if error.kind() == io::ErrorKind::TimedOut
                    || (error.kind() != io::ErrorKind::BrokenPipe && !self.output_is_terminal) =>
            {
                Err(OutputError(error))
            }
            _ => Ok(()),
        }
    }

    /// The same of what is made while it is written, since it may be too long to be held.
    ///
    /// # Errors
    /// As with [`Self::data`].
    pub(crate) fn data_in_parts(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), OutputError> {
        let mut stream = BufWriter::new(self.data_stream());
        self.judged(write(&mut stream).and_then(|()| stream.flush()))
    }

    /// Writes a text for people that was asked for to standard output.
    ///
    /// # Errors
    /// As with [`Self::data`].
    pub(crate) fn text(&self, text: &str) -> Result<(), OutputError> {
        if !self.output_is_terminal {
            return self.data(text);
        }
        self.data(&wrapped_for(&console::Term::stdout(), text.to_owned()))
    }

    /// Writes an item of a list to standard output, a line of which goes on so far set in.
    ///
    /// # Errors
    /// As with [`Self::data`].
    pub(crate) fn item(&self, text: &str, set_in: usize) -> Result<(), OutputError> {
        if !self.output_is_terminal {
            return self.data(&format!("{text}\n"));
        }
        self.data(&format!("{}\n", item_for(&console::Term::stdout(), text, set_in)))
    }

    /// Writes a page of the manual to standard output: laid out where that is a terminal, as Markdown everywhere else.
    ///
    /// # Errors
    /// When it cannot be written; a reader or a terminal that went away is no failure.
    pub(crate) fn page(&self, markdown: &str) -> Result<(), OutputError> {
        match console::Term::stdout().size_checked().filter(|_| self.output_is_terminal) {
            None => self.data(markdown),
            Some((_rows, columns)) => {
                let width_columns = usize::from(columns).min(WIDEST_PAGE_COLUMNS);
                self.data(&help::render(markdown, width_columns, self.color))
            }
        }
    }

    /// Writes the object for `--json` to standard output: what the command has to say, and how it ended.
    ///
    /// # Errors
    /// As with [`Self::data`].
    pub(crate) fn object(&self, own: Value, ending: &Ending) -> Result<(), OutputError> {
        self.data(&self.invocation.object(own, ending, clock::now()))
    }

    /// The same with a list that may be too long to be held.
    ///
    /// # Errors
    /// As with [`Self::data`].
    pub(crate) fn object_with_list(
        &self,
        own: Value,
        (name, items): (&str, impl Iterator<Item = Value>),
        ending: &Ending,
    ) -> Result<(), OutputError> {
        let object = self.invocation.object(joined(own, json!({name: []})), ending, clock::now());
        // No text holds this, since quotation marks are escaped in texts.
        let begin = format!("\"{name}\":[");
        let (before, after) = object.split_once(&begin).unwrap_or((&object, ""));
        self.data_in_parts(|out| {
            write!(out, "{before}{begin}")?;
            for (place, item) in items.enumerate() {
                let comma = if place > 0 { "," } else { "" };
                write!(out, "{comma}{}", json_document(&item).trim_end())?;
            }
            out.write_all(after.as_bytes())
        })
    }

    /// Standard output, for rows; whether somebody reads them is for the writer to judge.
    pub(in crate::report) fn data_stream(&self) -> DataStream {
        self.has_data.store(true, Ordering::Relaxed);
        DataStream::new(Arc::clone(&self.streams), self.output_is_terminal)
    }

    /// A named pipe or a device, for rows; a reader who reads nothing holds nobody who wants the process to end.
    pub(in crate::report) fn stream_to(&self, device: File) -> DataStream {
        DataStream::to_device(&*self.streams, device)
    }

    /// Tells people how something ended that stands elsewhere, too: on standard output, or if that takes nothing, on
    /// standard error. So it cannot fail.
    pub(crate) fn tell(&self, text: &str) {
        if self.text(text).is_err() {
            self.line(text.trim_end());
        }
    }
}
