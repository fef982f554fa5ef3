//! What commands that are suggested must repeat of the options of this one.

use clap::ValueEnum as _;

use super::options::{GeneralOptions, InputOptions};
use super::values::StateAuth;
use crate::outside::shell_word;

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
        format!("{encoding}{accept}{}", separator.unwrap_or_default())
    }
}
