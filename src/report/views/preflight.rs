//! What a preflight finds, a line each: as it is found for people, at its end for scripts.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::outside::masked_ours;
use crate::report::output::problem::Problem;
use crate::report::output::screen::{OutputError, Screen};
use crate::report::output::style::Style;
use crate::words::WIDEST_CELL_CHARACTERS;

/// Columns of the longest name of what is looked at.
const NAME_COLUMNS: usize = 16;

/// What was found so far.
pub(crate) struct Preflight {
    screen: Screen,
    /// Whether only the object is wanted.
    json: bool,
    checks: Vec<Value>,
}

/// A setting in force, and where it is from.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// What is set.
    pub name: Cow<'static, str>,
    /// To what. Never a secret.
    pub value: String,
    /// The option, the variable, file and line, or why it is so otherwise.
    pub origin: Cow<'static, str>,
}

impl Preflight {
    /// Nothing was looked at so far.
    pub(crate) const fn new(screen: Screen, json: bool) -> Self {
        Self { screen, json, checks: Vec::new() }
    }

    /// It is as it should be.
    ///
    /// # Errors
    /// When standard output takes nothing, here and below.
    pub(crate) fn passed(&mut self, name: &'static str, text: &str) -> Result<(), OutputError> {
        let mark = self.screen.paint(Style::Good, "√");
        self.add(name, &mark, "passed", text, None, None)
    }

    /// It is not, and a run would end with this status.
    ///
    /// # Errors
    /// As with [`Self::passed`].
    pub(crate) fn failed(&mut self, name: &'static str, problem: &Problem, exit_status: u8) -> Result<(), OutputError> {
        let mark = self.screen.paint(Style::Bad, "×");
        let text = problem.on_one_line();
        self.add(name, &mark, "failed", &text, problem.hint.as_deref(), Some(exit_status))
    }

    /// It could not be looked at, and why.
    ///
    /// # Errors
    /// As with [`Self::passed`].
    pub(crate) fn skipped(&mut self, name: &'static str, why: &str) -> Result<(), OutputError> {
        self.add(name, "–", "skipped", why, None, None)
    }

    /// The settings in force.
    ///
    /// # Errors
    /// As with [`Self::passed`].
    pub(crate) fn settings(&mut self, name: &'static str, settings: &[Setting]) -> Result<(), OutputError> {
        let mark = self.screen.paint(Style::Good, "√");
        let mut text = "as follows".to_owned();
        let longest_name = settings.iter().map(|setting| setting.name.chars().count()).max().unwrap_or(0);
        let longest = settings.iter().map(|setting| setting.value.chars().count()).max().unwrap_or(0);
        let longest = longest.min(WIDEST_CELL_CHARACTERS);
        for Setting { name, value, origin } in settings {
            let _infallible = write!(text, "\n    {name:<longest_name$}  {value:<longest$}  {origin}");
        }
        self.add(name, &mark, "passed", &text, None, None)?;
        let listed = settings.iter().map(
            |Setting { name, value, origin }| json!({"name": name, "value": masked_ours(value), "origin": masked_ours(origin)}),
        );
        if let Some(Value::Object(check)) = self.checks.last_mut() {
            check.insert("settings".to_owned(), listed.collect());
        }
        Ok(())
    }

    /// What there is to say to scripts.
    pub(crate) fn json(self) -> Value {
        json!({"checks": self.checks})
    }

    fn add(
        &mut self,
        name: &'static str,
        mark: &str,
        result: &str,
        text: &str,
        hint: Option<&str>,
        exit_status: Option<u8>,
    ) -> Result<(), OutputError> {
        let (text, hint) = (masked_ours(text), hint.map(masked_ours));
        self.checks.push(json!({
            "name": name,
            "result": result,
            "message": text.lines().next(),
            "hint": hint,
            "exit_status": exit_status,
        }));
        // What is as it should be, or cannot be known, needs nobody's attention.
        if self.json || (self.screen.is_quiet() && exit_status.is_none()) {
            return Ok(());
        }
        // What goes on in lines of its own is a table.
        let (first, table) = text.split_once('\n').unwrap_or((&text, ""));
        self.screen.item(&format!("{mark} {name:<NAME_COLUMNS$} {first}"), NAME_COLUMNS + 3)?;
        if !table.is_empty() {
            self.screen.data(&format!("{table}\n"))?;
        }
        match hint {
            Some(hint) => {
                let hint = format!("  {:<NAME_COLUMNS$} hint: {hint}", "");
                self.screen.item(&hint, NAME_COLUMNS + 3 + "hint: ".len())
            }
            None => Ok(()),
        }
    }
}
