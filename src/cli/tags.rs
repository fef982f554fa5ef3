//! What `tags` and the commands within it take.
#![expect(clippy::doc_markdown, reason = "the doc comments of options are their help text")]

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::after_help::after_help;
use super::options::{ChangingOptions, FilterOptions, GuardOptions, QuotaOptions, ServiceOptions};
use super::values::{odd_tags, typed_tag};
use crate::input::Doubt;
use crate::model::RETAGGING_PREFIX;
use crate::outside::shell_word;

/// Options of `tags`.
#[derive(Debug, Args)]
pub(crate) struct TagsOptions {
    /// What becomes of a tag; without it, all are listed.
    #[command(subcommand)]
    pub command: Option<TagsCommand>,
    /// The service and how to sign in.
    #[command(flatten)]
    pub service: ServiceOptions,
    /// The quota.
    #[command(flatten)]
    pub quota: QuotaOptions,
}

/// What becomes of a tag.
#[derive(Debug, Subcommand)]
pub(crate) enum TagsCommand {
    /// Replace a tag with another
    ///
    /// On every machine that has OLD: NEW is added, and then OLD removed. A machine to which NEW could not be added keeps
    /// OLD. The plan is shown, and you are asked.
    #[command(after_long_help = after_help("tags rename"))]
    Rename(Box<RenameOptions>),
    /// Take a tag off every machine that has it
    ///
    /// The plan is shown, and you are asked.
    #[command(after_long_help = after_help("tags remove"))]
    Remove(Box<RemoveOptions>),
}

impl TagsCommand {
    /// What was typed after the program's name, without options.
    pub(crate) fn typed(&self) -> String {
        match self {
            Self::Rename(options) => {
                format!("{RETAGGING_PREFIX}rename {} {}", shell_word(&options.old), shell_word(&options.new))
            }
            Self::Remove(options) => format!("{RETAGGING_PREFIX}remove {}", shell_word(&options.tag)),
        }
    }

    /// Where the results go.
    pub(crate) fn results(&self) -> PathBuf {
        let default = match self {
            Self::Rename(_) => "tags-rename.results.csv",
            Self::Remove(_) => "tags-remove.results.csv",
        };
        self.options().output.clone().unwrap_or_else(|| PathBuf::from(default))
    }

    /// How it is done, for whoever decides that otherwise.
    pub(crate) const fn options_mut(&mut self) -> &mut RetagOptions {
        match self {
            Self::Rename(options) => &mut options.retag,
            Self::Remove(options) => &mut options.retag,
        }
    }

    /// How it is done.
    pub(crate) const fn options(&self) -> &RetagOptions {
        match self {
            Self::Rename(options) => &options.retag,
            Self::Remove(options) => &options.retag,
        }
    }
}

/// Options of `tags rename`.
#[derive(Debug, Args)]
pub(crate) struct RenameOptions {
    /// The tag, exactly
    ///
    /// What cannot be typed may stand as "tagfleet tags" shows it: 'A\u{9}B' has a tab in it.
    #[arg(value_parser = typed_tag)]
    pub old: String,
    /// What takes its place
    #[arg(value_parser = typed_tag)]
    pub new: String,
    /// Allow a NEW that looks like a mistake
    #[arg(long, value_name = "odd-tags", value_parser = odd_tags())]
    pub accept: Vec<Doubt>,
    /// How it is done.
    #[command(flatten)]
    pub retag: RetagOptions,
}

/// Options of `tags remove`.
#[derive(Debug, Args)]
pub(crate) struct RemoveOptions {
    /// The tag, exactly
    ///
    /// What cannot be typed may stand as "tagfleet tags" shows it: 'A\u{9}B' has a tab in it.
    #[arg(value_parser = typed_tag)]
    pub tag: String,
    /// How it is done.
    #[command(flatten)]
    pub retag: RetagOptions,
}

/// Options of whatever changes a tag on every machine that has it.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct RetagOptions {
    /// Write the results here; - for standard output
    ///
    /// [default: tags-rename.results.csv; of tags remove, tags-remove.results.csv]
    #[arg(short, long, value_name = "RESULTS.csv")]
    pub output: Option<PathBuf>,
    /// Start a new run instead of resuming an unfinished one
    #[arg(long, help_heading = "Runs")]
    pub fresh: bool,
    /// Show the plan, and change nothing
    #[arg(long, help_heading = "Plan")]
    pub plan_only: bool,
    /// Exit with status 10 when something would be changed
    #[arg(long, requires = "plan_only", help_heading = "Plan")]
    pub detailed_exitcode: bool,
    /// Send at most N changes, the first ones: a canary
    ///
    /// The rows that are left out are not_attempted, and stand in the file of rows to feed back.
    #[arg(long, value_name = "N", help_heading = "Plan")]
    pub limit: Option<u32>,
    /// Refuse a plan with more changes than this
    #[arg(long, value_name = "N", help_heading = "Plan")]
    pub max_changes: Option<u32>,
    /// Make one call per change
    #[arg(long, help_heading = "Plan")]
    pub no_bulk: bool,
    /// Which of the machines that have the tag are meant.
    #[command(flatten)]
    pub filter: FilterOptions,
    /// What it may do at most.
    #[command(flatten)]
    pub guard: GuardOptions,
    /// What every command takes that changes the tenant.
    #[command(flatten)]
    pub changing: ChangingOptions,
}
