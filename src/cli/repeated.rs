//! What commands that are suggested must repeat of the options of this one.

use clap::ValueEnum as _;
use clap::builder::PossibleValue;

use super::options::{
    GeneralOptions, GuardOptions, InputOptions, LimitOptions, PlanningOptions, QUOTA, QuotaOptions, ServiceOptions,
    USUAL_ERRORS, WHOLE_SHARE,
};
use super::values::StateAuth;
use crate::api::sign_in::AuthMethod;
use crate::dispatch::MaximumErrors;
use crate::outside::shell_word;
use crate::plan::changes::UnlistedPolicy;
use crate::plan::guard::Bound;
use crate::quota::QuotaScope;

impl GeneralOptions {
    /// What a command that is suggested after this one must repeat of these; each option with a blank before it.
    pub(crate) fn repeated(&self) -> String {
        let option =
            |name: &str, word: Option<String>| word.map(|word| format!(" --{name} {word}")).unwrap_or_default();
        let state = match &self.state {
            Some(address) => option("state", Some(shell_word(address))),
            None => option("state-dir", self.state_dir.as_ref().map(shell_word)),
        };
        let password = option("state-password-file", self.state_password_file.as_ref().map(shell_word));
        let method = self.state_auth.to_possible_value().filter(|_| self.state_auth != StateAuth::default());
        let method = option("state-auth", method.map(|method| method.get_name().to_owned()));
        let certificates = option("ca-file", self.ca_file.as_ref().map(shell_word));
        let profile = option("profile", self.settings.name.as_ref().map(shell_word));
        state + &password + &method + &certificates + &profile + &option("config", self.config.as_ref().map(shell_word))
    }
}

impl ServiceOptions {
    /// What a command must repeat that calls the same service as the same app; each option with a blank before it.
    pub(crate) fn repeated(&self) -> String {
        let option =
            |name: &str, word: Option<String>| word.map(|word| format!(" --{name} {word}")).unwrap_or_default();
        let chosen = |value: Option<PossibleValue>| value.map(|value| value.get_name().to_owned());
        let cloud = option("cloud", chosen(self.cloud.and_then(|cloud| cloud.to_possible_value())));
        let method = self.auth.to_possible_value().filter(|_| self.auth != AuthMethod::Auto);
        option("base-url", self.base_url.as_ref().map(shell_word))
            + &cloud
            + if self.allow_host { " --allow-host" } else { "" }
            + &option("auth", chosen(method))
            + if self.no_browser { " --no-browser" } else { "" }
            + &option("client-secret-file", self.client_secret_file.as_ref().map(shell_word))
            + &option("token-file", self.token_file.as_ref().map(shell_word))
    }
}

impl QuotaOptions {
    /// What a command must repeat that uses no more of what it shares with other programs; each option with a blank before it.
    pub(crate) fn repeated(&self) -> String {
        let scope = self.quota_scope.to_possible_value().filter(|_| self.quota_scope != QuotaScope::default());
        let scope = scope.map(|scope| format!(" --quota-scope {}", scope.get_name())).unwrap_or_default();
        let share = Some(self.quota_share).filter(|share| *share != WHOLE_SHARE);
        let share = share.map(|share| format!(" --quota-share {share}")).unwrap_or_default();
        let quota = Some(self.quota.option()).filter(|quota| quota != QUOTA);
        quota.map(|quota| format!(" --quota {quota}")).unwrap_or_default() + &scope + &share
    }
}

impl LimitOptions {
    /// What a command must repeat that takes the same for done, and bears as many failures; each option with a blank before it.
    pub(crate) fn repeated(&self) -> String {
        let errors = match self.max_errors {
            MaximumErrors::Percent(percent) => format!("{percent}%"),
            MaximumErrors::Count(count) => count.to_string(),
        };
        let errors = Some(errors).filter(|errors| errors != USUAL_ERRORS);
        let errors = errors.map(|errors| format!(" --max-errors {errors}")).unwrap_or_default();
        errors + if self.skip_missing_machines { " --skip-missing-machines" } else { "" }
    }
}

impl PlanningOptions {
    /// What a command must repeat that plans its rows as this one does; each option with a blank before it.
    pub(crate) fn repeated(&self) -> String {
        let most = self.max_changes.map(|most| format!(" --max-changes {most}")).unwrap_or_default();
        most + if self.unlisted == UnlistedPolicy::Fail { " --unlisted fail" } else { "" }
            + if self.no_inventory { " --no-inventory" } else { "" }
            + if self.no_bulk { " --no-bulk" } else { "" }
    }

    /// What the command must repeat that resumes what this one began; what is fed back is the rest of a canary.
    pub(crate) fn to_resume(&self) -> String {
        self.limit.map(|limit| format!(" --limit {limit}")).unwrap_or_default()
    }
}

impl GuardOptions {
    /// What a command must repeat that feeds rows back, so that they pass by no guard: the shares are of the tenant's machines,
    /// whatever stands in a file. Each option has a blank before it.
    pub(crate) fn repeated(&self) -> String {
        let share = |name: &str, bound: Option<Bound>| match bound {
            Some(Bound::Share { percent, count }) => format!(" --{name} {percent}%,{count}"),
            Some(Bound::Ceiling(most)) => format!(" --{name} {most}"),
            None => String::new(),
        };
        let guards = share("guard-removals", self.guard_removals) + &share("guard-changes", self.guard_changes);
        let ceiling = |name: &str, most: Option<u32>| share(name, most.map(Bound::Ceiling));
        guards + &ceiling("allow-removals", self.allow_removals) + &ceiling("allow-changes", self.allow_changes)
    }
}

impl InputOptions {
    /// What a command must repeat that reads rows of this input again, as they are written in results: in UTF-8, whatever
    /// the settings say of inputs. Each option has a blank before it.
    pub(crate) fn repeated(&self) -> String {
        let encoding = self.encoding.as_ref().map_or("", |_| " --encoding utf-8");
        let names: Vec<&str> = self.accept.iter().map(|doubt| doubt.name()).collect();
        let accept = if names.is_empty() { String::new() } else { format!(" --accept {}", names.join(",")) };
        let separator = self.tag_separator.map(|separator| match separator {
            '\n' => " --tag-separator '\\n'".to_owned(),
            separator => format!(" --tag-separator {}", shell_word(&separator.to_string())),
        });
        let skips = if self.skip_invalid { " --skip-invalid" } else { "" };
        format!("{encoding}{accept}{}{skips}", separator.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Command};

    #[test]
    fn who_leaves_others_their_share_is_advised_to_do_so_again() {
        for (options, repeated) in [
            ("", ""),
            (" --quota 100/1m,1500/1h --quota-share 100 --quota-scope api", ""),
            (" --quota 7/2h", " --quota 7/2h"),
            (" --quota-scope app --quota-share 50 --concurrency 3", " --quota-scope app --quota-share 50"),
        ] {
            let line = format!("tagfleet resume{options}");
            let Command::Resume(resume) = Cli::try_parse_from(line.split(' ')).expect("options").command else {
                panic!("another command");
            };
            assert_eq!(resume.changing.quota.repeated(), repeated, "{options}");
        }
    }

    #[test]
    fn who_plans_like_this_is_advised_to_do_so_again() {
        let line = "tagfleet resume --limit 3 --max-changes 9 --unlisted fail --no-inventory --no-bulk --max-errors 5% \
                    --skip-missing-machines";
        for (line, repeated, to_resume) in [
            ("tagfleet resume --max-errors 50% --unlisted try", "", ""),
            ("tagfleet resume --max-errors 3", " --max-errors 3", ""),
            (line, &line["tagfleet resume --limit 3".len()..], " --limit 3"),
        ] {
            let Command::Resume(resume) = Cli::try_parse_from(line.split(' ')).expect("options").command else {
                panic!("another command");
            };
            assert_eq!(resume.planning.repeated() + &resume.changing.limits.repeated(), repeated);
            assert_eq!(resume.planning.to_resume(), to_resume);
        }
    }

    #[test]
    fn who_signs_in_like_this_is_advised_to_do_so_again() {
        for options in [
            "",
            " --base-url 'https://api.example/a b' --cloud gcc --allow-host --auth device-code",
            " --auth browser --no-browser --client-secret-file s --token-file t",
        ] {
            let line = format!("tagfleet resume{options}").replace(" b'", "_b'").replace('\'', "");
            let Command::Resume(resume) = Cli::try_parse_from(line.split(' ')).expect("options").command else {
                panic!("another command");
            };
            assert_eq!(resume.changing.service.repeated(), options.replace(" b'", "_b").replace('\'', ""));
        }
    }
}
