//! What `rules` takes.

use std::path::Path;

use clap::{ArgGroup, Args};

use super::options::{QuotaOptions, ServiceOptions};

/// What files of rules end in.
const RULES_EXTENSION: &str = "toml";

/// Whether an input is a file of rules.
pub(crate) fn is_rules(input: &Path) -> bool {
    input.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(RULES_EXTENSION))
}

/// Options of `rules`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").args(["dump", "release"]).required(true))]
pub(crate) struct RulesOptions {
    /// Print a first file of rules for the tenant
    ///
    /// Made from the tags that it has, each of which stays where it is. Its rules are there to be given conditions that say
    /// what the tags stand for.
    #[arg(long, requires = "prefix")]
    pub dump: bool,
    /// Dump the tags that begin so; may be repeated
    #[arg(long, value_name = "PREFIX", requires = "dump", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub prefix: Vec<String>,
    /// Call the dumped file so
    #[arg(long, value_name = "NAME", requires = "dump", default_value = "fleet", hide_short_help = true)]
    pub name: String,
    /// Give back what the rules of this name own
    ///
    /// Another file of rules may own it from then on. No tag is changed.
    #[arg(long, value_name = "NAME")]
    pub release: Option<String>,
    /// The service and how to sign in.
    #[command(flatten)]
    pub service: ServiceOptions,
    /// The quota.
    #[command(flatten)]
    pub quota: QuotaOptions,
}
