//! Options that several commands share. The first paragraph of a comment is the text of `-h`, one line; the others stand in
//! `--help` as well.
#![expect(clippy::doc_markdown, reason = "the doc comments of options are their help text")]

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use jiff::Timestamp;

use super::origin::SettingInForce;
use super::values::{
    DeadlineArgument, DurationArgument, StateAuth, device_value, duration, prom_file, tag_separator, typed_tag,
};
use crate::api::cloud::Cloud;
use crate::api::sign_in::AuthMethod;
use crate::dispatch::MaximumErrors;
use crate::environment::Profile;
use crate::input::Doubt;
use crate::model::DeviceValue;
use crate::plan::changes::UnlistedPolicy;
use crate::plan::guard::Bound;
use crate::quota::{Quota, QuotaScope};
use crate::report::logging::LogFormat;
use crate::report::{ColorChoice, PingStyle};

/// Options that every command takes.
#[derive(Debug, Default, Args)]
pub(crate) struct GeneralOptions {
    /// Keep runs and the quota's ledger in this directory
    ///
    /// [env: TAGFLEET_STATE_DIR] [default: the platform's state directory]
    #[arg(long, global = true, value_name = "DIRECTORY", help_heading = "General")]
    pub state_dir: Option<PathBuf>,
    /// Keep them in a PostgreSQL database that hosts share
    ///
    /// "tagfleet help state" describes it. [env: TAGFLEET_STATE]
    #[arg(long, global = true, value_name = "URL", conflicts_with = "state_dir", help_heading = "General")]
    pub state: Option<String>,
    /// Read the password of that database from this file
    ///
    /// Instead of PGPASSWORD, PGPASSFILE or ~/.pgpass. The file is read again for each connection.
    #[arg(long, global = true, value_name = "FILE", help_heading = "General")]
    pub state_password_file: Option<PathBuf>,
    /// How to sign in to that database
    ///
    /// The variables are those of the sign-in to the service.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "METHOD",
        hide_short_help = true,
        help_heading = "General"
    )]
    pub state_auth: StateAuth,
    /// Trust this root certificate as well (PEM)
    ///
    /// Of the service, of the sign-in, and of the database of --state.
    #[arg(long, global = true, value_name = "FILE", help_heading = "General")]
    pub ca_file: Option<PathBuf>,
    /// Print one JSON object on standard output
    ///
    /// The object is printed whatever the exit status is; "tagfleet help unattended" describes it.
    #[arg(long, global = true, help_heading = "General")]
    pub json: bool,
    /// Say nothing unless something needs attention
    #[arg(short, long, global = true, help_heading = "General")]
    pub quiet: bool,
    /// Log more: -v what happens, -vv each call
    ///
    /// Together with -q this needs a --log-file.
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "General")]
    pub verbose: u8,
    /// How log lines look
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT", help_heading = "General")]
    pub log_format: LogFormat,
    /// Log into this file instead of standard error
    #[arg(long, global = true, value_name = "FILE", help_heading = "General")]
    pub log_file: Option<PathBuf>,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", help_heading = "General")]
    pub color: ColorChoice,
    /// Use the settings of this profile
    ///
    /// Separate several with commas; they are run one after the other, each as a run of its own. "tagfleet help
    /// profiles" describes the file that they stand in.
    ///
    /// [env: TAGFLEET_PROFILE]
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        value_delimiter = ',',
        value_hint = clap::ValueHint::Other,
        help_heading = "Profiles"
    )]
    pub profile: Vec<String>,
    /// Run the command for every profile
    #[arg(long, global = true, conflicts_with = "profile", hide_short_help = true, help_heading = "Profiles")]
    pub all_profiles: bool,
    /// How many profiles are run side by side
    #[arg(long, global = true, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64), hide_short_help = true, help_heading = "Profiles")]
    pub jobs: u8,
    /// Read settings only from this file
    ///
    /// [default: /etc/tagfleet/config.toml, and tagfleet/config.toml in the folder for settings]
    #[arg(long, global = true, value_name = "FILE.toml", hide_short_help = true, help_heading = "Profiles")]
    pub config: Option<PathBuf>,
    /// Run this one of the profiles
    #[arg(long, global = true, value_name = "NAME", hide = true)]
    pub only_profile: Option<String>,
    /// When the command for all of them began
    #[arg(long, global = true, value_name = "TIME", hide = true)]
    pub begun_at: Option<Timestamp>,
    /// What the files of settings say besides options.
    #[arg(skip)]
    pub settings: Profile,
    /// Each setting, and where it is from.
    #[arg(skip)]
    pub in_force: Vec<SettingInForce>,
}

/// Which rows are meant.
#[derive(Debug, Default, Args)]
pub(crate) struct FilterOptions {
    /// Run only the rows that this filter selects
    ///
    /// A condition such as "OSPlatform == 'Linux'"; columns of the file stand by their names, fields of the tenant's list
    /// as machine.NAME; with @tenant, tags rename and tags remove as NAME. "tagfleet help filters" describes the language.
    #[arg(long = "where", value_name = "EXPRESSION", conflicts_with = "where_file", help_heading = "Rows")]
    pub filter: Option<String>,
    /// Read the filter from this file
    #[arg(long, value_name = "FILE", help_heading = "Rows")]
    pub where_file: Option<PathBuf>,
}

/// What is to be done with the machine of every row, where the file does not say it.
#[derive(Debug, Default, Args)]
pub(crate) struct OrderOptions {
    /// Add this tag to the machine of every row
    ///
    /// The file is a list of machines then; its own tag, action and value columns are carried along unread. May be given
    /// several times, together with --remove and --set-value. "tagfleet help exports" describes it.
    #[arg(long, value_name = "TAG", value_parser = typed_tag, conflicts_with = "tag_separator", help_heading = "Rows")]
    pub add: Vec<String>,
    /// Remove this tag from the machine of every row
    ///
    /// Exactly as it is written, or as "tagfleet tags" shows it: 'A\u{9}B' has a tab in it. May be given several times.
    #[arg(long, value_name = "TAG", value_parser = typed_tag, conflicts_with = "tag_separator", help_heading = "Rows")]
    pub remove: Vec<String>,
    /// Set the device value of the machine of every row
    #[arg(
        long,
        value_name = "VALUE",
        value_parser = device_value,
        conflicts_with = "tag_separator",
        help_heading = "Rows"
    )]
    pub set_value: Option<DeviceValue>,
    /// Take every row; for --add, --remove and --set-value
    ///
    /// These change the machine of every row, so they need either --where or --all. A file that says itself what to change
    /// needs neither.
    #[arg(long, conflicts_with_all = ["filter", "where_file"], help_heading = "Rows")]
    pub all: bool,
}

/// The file.
#[derive(Debug, Args)]
pub(crate) struct InputOptions {
    /// The CSV file or .xlsx workbook; - for standard input
    ///
    /// It has a column for the machine, and tag, action and value columns; "tagfleet help input" describes it. With --add,
    /// --remove or --set-value any list of machines will do, and @tenant is the tenant's own.
    pub input: PathBuf,
    /// The worksheet of a workbook
    ///
    /// [default: the first]
    #[arg(long, value_name = "NAME")]
    pub sheet: Option<String>,
    /// The file's encoding, if it is not UTF-8
    ///
    /// Needed only for files without a byte order mark, for example windows-1252.
    #[arg(long, value_name = "LABEL")]
    pub encoding: Option<String>,
    /// Run the valid rows of a file that has bad ones
    ///
    /// Without it, one bad row makes tagfleet refuse the file. Bad rows are answered as invalid, and the exit status is 1.
    #[arg(long)]
    pub skip_invalid: bool,
    /// Allow what is refused because it is usually a mistake
    ///
    /// Separate several names with commas.
    #[arg(long, value_enum, value_name = "NAME", value_delimiter = ',')]
    pub accept: Vec<Doubt>,
    /// Read each tag cell as a list with this separator
    ///
    /// One character such as ; or |, or \n for line breaks.
    #[arg(long, value_name = "CHARACTER", value_parser = tag_separator)]
    pub tag_separator: Option<char>,
    /// Accept a file that has a header and no rows
    ///
    /// Without it, such a file is refused, since an export that failed looks like that.
    #[arg(long)]
    pub allow_empty: bool,
    /// Which of its rows are meant.
    #[command(flatten)]
    pub filter: FilterOptions,
    /// What is to be done with their machines.
    #[command(flatten)]
    pub orders: OrderOptions,
}

/// What is planned.
#[derive(Debug, Default, Args)]
pub(crate) struct PlanningOptions {
    /// Send at most N changes, the first ones: a canary
    ///
    /// A row with a tag and a value is two changes. The rows that are left out are not_attempted, and stand in the file of rows
    /// to feed back.
    #[arg(long, value_name = "N", help_heading = "Plan")]
    pub limit: Option<u32>,
    /// Refuse a plan with more changes than this
    #[arg(long, value_name = "N", help_heading = "Plan")]
    pub max_changes: Option<u32>,
    /// What to do with machines that the tenant's list lacks
    #[arg(long, value_enum, default_value_t, value_name = "try|fail", help_heading = "Plan")]
    pub unlisted: UnlistedPolicy,
    /// Do not read the tenant's machines first
    ///
    /// Then tagfleet cannot find machines by name, leave out what is already set, or undo the run.
    #[arg(long, help_heading = "Plan")]
    pub no_inventory: bool,
    /// Make one call per change
    #[arg(long, help_heading = "Plan")]
    pub no_bulk: bool,
}

/// What an unattended run may do at most.
#[derive(Debug, Default, Args)]
pub(crate) struct GuardOptions {
    /// Withhold all removals if they exceed P% and N
    ///
    /// A share of the tenant's machines and a number, such as 10%,10: where more tags are to be removed than both, none is.
    /// Rows whose tag stays are not_attempted, withheld, and the exit status is 1.
    #[arg(long, value_name = "P%,N", help_heading = "Plan")]
    pub guard_removals: Option<Bound>,
    /// Refuse a plan whose changes exceed P% and N
    ///
    /// A share of the tenant's machines and a number, such as 30%,100: a plan with more changes than both is refused.
    #[arg(long, value_name = "P%,N", help_heading = "Plan")]
    pub guard_changes: Option<Bound>,
    /// Let this many removals through in this run
    ///
    /// Overrides --guard-removals. When more are planned, all are withheld.
    #[arg(long, value_name = "N", help_heading = "Plan")]
    pub allow_removals: Option<u32>,
    /// Let this many changes through in this run
    ///
    /// Overrides --guard-changes. When more are planned, the plan is refused.
    #[arg(long, value_name = "N", help_heading = "Plan")]
    pub allow_changes: Option<u32>,
}

/// What may happen without asking, and when to stop.
#[derive(Debug, Args)]
pub(crate) struct LimitOptions {
    /// Go ahead without asking
    ///
    /// Required where stdin or stderr is not a terminal.
    #[arg(long, help_heading = "Limits")]
    pub yes: bool,
    /// Stop when more changes than this have failed
    ///
    /// A number, or a share such as 5% of the changes that have ended, once 20 have. Machines that are not found do not
    /// count.
    #[arg(long, value_name = "N|P%", default_value = USUAL_ERRORS, help_heading = "Limits")]
    pub max_errors: MaximumErrors,
    /// Start no call after this: 90m, 8h, 06:00
    ///
    /// A duration from now, or a local time of day. A time that passed in the last 6 hours is refused; "tomorrow 06:00"
    /// says that the next day is meant.
    #[arg(long, value_name = "DURATION|HH:MM", help_heading = "Limits")]
    pub deadline: Option<DeadlineArgument>,
    /// Tolerate rows whose machine is gone
    ///
    /// They are counted apart, are not fed back, and leave the exit status at 0.
    #[arg(long, help_heading = "Limits")]
    pub skip_missing_machines: bool,
    /// Keep a change number or remark with the run
    #[arg(long, value_name = "TEXT", help_heading = "Limits")]
    pub note: Option<String>,
}

/// How a run gets on with others in the state directory.
#[derive(Debug, Args)]
pub(crate) struct OtherRunsOptions {
    /// Wait this long for a conflicting run
    ///
    /// A running one that changes the same tags or device values of the same machines; without this option it ends the
    /// command with status 6.
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Runs")]
    pub lock_wait: Option<Duration>,
    /// Delete runs that have been inactive for this long
    ///
    /// Finished or not; running ones are kept, and so is the last hour.
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = duration, help_heading = "Runs")]
    pub keep_runs: Duration,
}

/// Who watches the command from afar.
#[derive(Debug, Args)]
pub(crate) struct MonitoringOptions {
    /// Write metrics for Prometheus into this file
    ///
    /// For the textfile collector of the node exporter: at the start, every minute, and at the end. "tagfleet help metrics"
    /// lists them.
    #[arg(long, value_name = "FILE.prom", value_parser = prom_file, help_heading = "Monitoring")]
    pub metrics_file: Option<PathBuf>,
    /// Name the job in its metrics
    ///
    /// [default: the input's name]
    #[arg(long, value_name = "NAME", hide_short_help = true, help_heading = "Monitoring")]
    pub job: Option<String>,
    /// Ping the address in this file at start and end
    ///
    /// Instead of TAGFLEET_PING_URL. The address is a secret: it lets its reader report in this job's name. A ping that fails
    /// is one warning.
    #[arg(long, value_name = "FILE", help_heading = "Monitoring")]
    pub ping_url_file: Option<PathBuf>,
    /// Which service the address belongs to
    ///
    /// "tagfleet help metrics" says what each service is told, and when.
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "SERVICE",
        hide_short_help = true,
        help_heading = "Monitoring"
    )]
    pub ping_style: PingStyle,
    /// Report these exit statuses as a success
    ///
    /// Separate several with commas, as in 0,5.
    #[arg(
        long,
        value_name = "STATUS",
        value_delimiter = ',',
        default_value = "0",
        hide_short_help = true,
        help_heading = "Monitoring"
    )]
    pub ping_success: Vec<u8>,
}

/// The service and how to sign in.
#[derive(Debug, Args)]
pub(crate) struct ServiceOptions {
    /// Where the API is: https, or http on loopback
    ///
    /// [env: TAGFLEET_BASE_URL] [default: by --cloud]
    #[arg(long, value_name = "URL", help_heading = "Service")]
    pub base_url: Option<String>,
    /// The cloud: host, sign-in and scope together
    #[arg(long, value_enum, value_name = "CLOUD", help_heading = "Service")]
    pub cloud: Option<Cloud>,
    /// Accept a base URL whose host is not Microsoft's
    #[arg(long, help_heading = "Service")]
    pub allow_host: bool,
    /// How to sign in
    #[arg(long, value_enum, default_value = "auto", value_name = "METHOD", help_heading = "Service")]
    pub auth: AuthMethod,
    /// Do not start a browser; print the address to open
    ///
    /// For --auth browser.
    #[arg(long, help_heading = "Service")]
    pub no_browser: bool,
    /// Read the client secret from this file
    ///
    /// Instead of AZURE_CLIENT_SECRET.
    #[arg(long, value_name = "FILE", help_heading = "Service")]
    pub client_secret_file: Option<PathBuf>,
    /// Read a ready access token from this file
    ///
    /// Instead of TAGFLEET_TOKEN. The file is read again before the token expires.
    #[arg(long, value_name = "FILE", help_heading = "Service")]
    pub token_file: Option<PathBuf>,
}

/// How many changes may fail, unless somebody says otherwise.
pub(super) const USUAL_ERRORS: &str = "50%";
/// All of the quota, in percent.
pub(super) const WHOLE_SHARE: u8 = 100;
/// What the API allows by its documentation.
pub(super) const QUOTA: &str = "100/1m,1500/1h";

/// The quota, and patience with the service: of every command that calls it.
#[derive(Debug, Args)]
pub(crate) struct QuotaOptions {
    /// Calls per window, for each bucket; off for none
    #[arg(long, value_name = "SPEC", default_value = QUOTA, help_heading = "Quota")]
    pub quota: Quota,
    /// What the service counts together
    #[arg(long, value_enum, default_value_t = QuotaScope::Api, value_name = "SCOPE", help_heading = "Quota")]
    pub quota_scope: QuotaScope,
    /// Use only this share of the quota, in percent
    ///
    /// The rest is left to other programs that use the same app registration.
    #[arg(long, value_name = "PERCENT", default_value_t = WHOLE_SHARE, value_parser = clap::value_parser!(u8).range(1..=100), help_heading = "Quota")]
    pub quota_share: u8,
    /// How many calls may be in flight at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256), help_heading = "Quota")]
    pub concurrency: u16,
    /// Stop after an outage of this length
    ///
    /// What is left can be resumed.
    #[arg(long, value_name = "DURATION", default_value = "2h", help_heading = "Limits")]
    pub max_outage: DurationArgument,
}

/// What every command takes that changes the tenant.
#[derive(Debug, Args)]
pub(crate) struct ChangingOptions {
    /// What may happen without asking, and when to stop.
    #[command(flatten)]
    pub limits: LimitOptions,
    /// How the run gets on with others in the state directory.
    #[command(flatten)]
    pub others: OtherRunsOptions,
    /// Write a report on the run at its end
    ///
    /// One page for a browser, as "tagfleet report" makes it. A report that cannot be made is one warning.
    #[arg(long, value_name = "REPORT.html", help_heading = "Monitoring")]
    pub report: Option<PathBuf>,
    /// Who watches it from afar.
    #[command(flatten)]
    pub monitoring: MonitoringOptions,
    /// The service and how to sign in.
    #[command(flatten)]
    pub service: ServiceOptions,
    /// The quota.
    #[command(flatten)]
    pub quota: QuotaOptions,
}
