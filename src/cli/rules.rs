//! What `rules` takes.

use std::path::Path;

use clap::{ArgGroup, Args};

use super::options::{GuardOptions, InputOptions, QuotaOptions, ServiceOptions};

/// What files of rules end in.
const RULES_EXTENSION: &str = "toml";

/// Whether an input is a file of rules.
pub(crate) fn is_rules(input: &Path) -> bool {
    input.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(RULES_EXTENSION))
}

/// An option that says how rows of a file are read, or what a file of rules says itself.
pub(crate) struct NotOfRules {
    /// Its name, without the dashes.
    pub name: &'static str,
    /// Whether it says how a list is read on which rules are tried, too.
    is_of_lists: bool,
    /// Whether it is given.
    pub is_given: fn(&GivenOptions<'_>) -> bool,
}

/// The options among which those are that a file of rules has no use for.
pub(crate) struct GivenOptions<'o> {
    /// How the input is read.
    pub input: &'o InputOptions,
    /// What may be done at most.
    pub guard: &'o GuardOptions,
    /// Whether the tenant's list is not to be read.
    pub no_inventory: bool,
}

impl NotOfRules {
    const fn of_orders(name: &'static str, is_given: fn(&GivenOptions<'_>) -> bool) -> Self {
        Self { name, is_of_lists: false, is_given }
    }

    const fn of_lists(name: &'static str, is_given: fn(&GivenOptions<'_>) -> bool) -> Self {
        Self { name, is_of_lists: true, is_given }
    }

    /// Whether it says nothing where rules are the input, which may be tried on a list.
    pub(crate) const fn is_useless(&self, takes_list: bool) -> bool {
        !(self.is_of_lists && takes_list)
    }
}

/// All of them: refused where they are typed, passed over where they are set in a file.
pub(crate) const NOT_OF_RULES: [NotOfRules; 15] = [
    NotOfRules::of_orders("add", |given| !given.input.orders.add.is_empty()),
    NotOfRules::of_orders("remove", |given| !given.input.orders.remove.is_empty()),
    NotOfRules::of_orders("set-value", |given| given.input.orders.set_value.is_some()),
    NotOfRules::of_orders("all", |given| given.input.orders.all),
    NotOfRules::of_lists("sheet", |given| given.input.sheet.is_some()),
    NotOfRules::of_lists("encoding", |given| given.input.encoding.is_some()),
    NotOfRules::of_orders("skip-invalid", |given| given.input.skip_invalid),
    NotOfRules::of_lists("accept", |given| !given.input.accept.is_empty()),
    NotOfRules::of_orders("tag-separator", |given| given.input.tag_separator.is_some()),
    NotOfRules::of_orders("allow-empty", |given| given.input.allow_empty),
    NotOfRules::of_orders("where", |given| given.input.filter.filter.is_some()),
    NotOfRules::of_orders("where-file", |given| given.input.filter.where_file.is_some()),
    NotOfRules::of_orders("guard-removals", |given| given.guard.guard_removals.is_some()),
    NotOfRules::of_orders("guard-changes", |given| given.guard.guard_changes.is_some()),
    NotOfRules::of_orders("no-inventory", |given| given.no_inventory),
];

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
    /// Dump only tags that begin with this; may be repeated
    #[arg(long, value_name = "PREFIX", requires = "dump", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub prefix: Vec<String>,
    /// Name of the file of rules
    #[arg(long, value_name = "NAME", requires = "dump", default_value = "fleet", hide_short_help = true)]
    pub name: String,
    /// Release the tags that the rules of this name own
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
