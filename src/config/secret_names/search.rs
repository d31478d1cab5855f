//! Searches values for secrets: logins, assignments, JSON, base64, tokens and private keys.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::values::{
    is_common, is_known_token, is_random, is_setting, is_user, is_value, known_tokens,
};
use super::{is_key, is_secret, is_secret_parameter, is_webhook};
use crate::config::findings::{begins_with_host, is_digest};
use crate::report::mask::MIN_SECRET_BYTES;

/// The limit for nested encodings.
const MAX_DEPTH: usize = 3;

/// The shortest line of a private key that is masked separately, in bytes.
const KEY_LINE_BYTES: usize = 16;

/// Hosts of webhooks, whose addresses are secrets.
const WEBHOOK_HOSTS: [&str; 5] = [
    "hooks.slack.com",
    "discord.com",
    "discordapp.com",
    "outlook.office.com",
    "webhook.office.com",
];

const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const ALPHABETS: [GeneralPurpose; 2] = [
    GeneralPurpose::new(&alphabet::STANDARD, CONFIG),
    GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG),
];

/// The secrets that were found.
#[derive(Default)]
pub(in super::super) struct Search {
    /// Each once, as written and decoded.
    pub(in super::super) secrets: Vec<String>,
    /// Whether one of them is not masked: it is too short or too common a word.
    pub(in super::super) is_readable: bool,
    depth: usize,
}

impl Search {
    /// Adds a secret.
    pub(super) fn add(&mut self, secret: &str) {
        if secret.is_empty() {
            return;
        }
        self.is_readable |= secret.len() < MIN_SECRET_BYTES;
        if !self.secrets.iter().any(|known| known == secret) {
            self.secrets.push(secret.to_owned());
        }
    }

    /// Adds a part of an address, as written and decoded.
    fn add_written(&mut self, written: &str) {
        self.add(written);
        self.add(&percent_decode_str(written).decode_utf8_lossy());
    }

    /// Adds a value that is a secret as a whole, and the secrets in it: the password of `user:password`, its decoded base64,
    /// and strings in JSON.
    pub(super) fn whole(&mut self, value: &str) {
        self.add(value);
        self.parts(value.trim());
    }

    fn parts(&mut self, value: &str) {
        if self.depth == MAX_DEPTH {
            return;
        }
        self.depth += 1;
        if let Some(password) = password(value).filter(|password| is_value(password)) {
            self.add(password);
        }
        if let Some(text) = unpacked(value) {
            match password(&text) {
                Some(password) => self.add(password),
                None if text.starts_with('{') => {}
                None => self.add(&text),
            }
            self.text(&text);
        }
        self.depth -= 1;
    }

    /// Searches a value. Its name can determine the format.
    pub(super) fn named(&mut self, name: &str, value: &str) {
        let upper = name.to_ascii_uppercase();
        if upper.ends_with("PROXY") {
            for word in words(value).filter(|word| !word.contains("://")) {
                self.login(word.rsplit_once('@').map_or("", |(login, _)| login));
            }
        }
        // Bundler's logins: `BUNDLE_`, and the host with `__` in place of its dots.
        let is_bundler = upper.starts_with("BUNDLE_")
            && upper.contains("__")
            && !["BUNDLE_BUILD__", "BUNDLE_LOCAL__", "BUNDLE_MIRROR__"]
                .iter()
                .any(|settings| upper.starts_with(settings));
        if is_bundler && (password(value).is_some_and(is_value) || is_random(value)) {
            self.whole(value);
        }
        if is_webhook(name) {
            words(value).for_each(|word| self.webhook(word));
        }
        self.text(value);
    }

    /// Searches a text for secrets.
    fn text(&mut self, text: &str) {
        if text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----") {
            self.add(text);
            // On one line, as in JSON.
            let lines = text.split("\\n").flat_map(str::split_whitespace);
            let lines =
                lines.filter(|line| line.len() >= KEY_LINE_BYTES && !line.contains("-----"));
            lines.for_each(|line| self.add(line));
        }
        for word in words(text) {
            if word.contains("://") {
                self.address(word);
                if WEBHOOK_HOSTS.iter().any(|host| word.contains(host)) {
                    self.webhook(word);
                }
            } else {
                self.schemeless(word);
                self.assignments(word, &[';'], is_secret);
            }
        }
        known_tokens(text).for_each(|token| self.add(token));
        if text.trim_start().starts_with(['{', '[']) && self.depth < MAX_DEPTH {
            let json = serde_json::from_str(text).unwrap_or_default();
            self.depth += 1;
            self.json(&json, false);
            self.depth -= 1;
        }
    }

    /// Searches an address: `https://user:password@host/path?token=…#token=…`.
    pub(super) fn address(&mut self, address: &str) {
        let Some((_, rest)) = address.split_once("://") else {
            return;
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let authority = rest.get(..end).unwrap_or_default();
        let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
        let login = match authority.rsplit_once('@') {
            Some((login, _)) => login,
            // An invalid address: its password contains one of these characters unescaped.
            None if !is_port => rest.rsplit_once('@').map_or("", |(login, _)| login),
            None => "",
        };
        self.login(login);
        let parameters = rest.find(['?', '#']).and_then(|at| rest.get(at..));
        let parameters = parameters.unwrap_or_default();
        self.assignments(parameters, &['&', '#', ';'], is_secret_parameter);
    }

    /// Adds the secret half of a login.
    fn login(&mut self, login: &str) {
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let is_token = is_known_token(user) || is_random(user);
        // A token is often the user, with an empty or a fixed password.
        if (is_user(password) && !is_user(user) && !is_common(user))
            || (password.is_empty() && is_token)
        {
            self.add_written(user);
        }
        let is_secret =
            password != user && !is_user(password) && !is_common(password) && !is_setting(password);
        if is_secret {
            self.add_written(password);
        }
    }

    /// Searches a word for `user:password@host`, as proxies are often written.
    fn schemeless(&mut self, word: &str) {
        let Some((login, host)) = word.rsplit_once('@') else {
            return;
        };
        let login = login
            .rsplit_once(['=', ','])
            .map_or(login, |(_, login)| login);
        let Some((user, password)) = login.split_once(':') else {
            return;
        };
        let is_user = !user.is_empty() && !user.contains(['/', '@']) && user != "mailto";
        if is_user && begins_with_host(host) && !is_digest(host) && is_value(password) {
            self.login(login);
        }
    }

    /// Searches `NAME=VALUE` in a word; a value ends at one of `ends`.
    fn assignments(&mut self, word: &str, ends: &[char], is_secret: impl Fn(&str) -> bool) {
        let mut rest = word;
        while let Some((before, after)) = rest.split_once('=') {
            let is_of_name =
                |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
            let name = before.rsplit(|character| !is_of_name(character)).next();
            let name = name.unwrap_or_default();
            let end = after.find(ends).unwrap_or(after.len());
            let (value, remainder) = after.split_at_checked(end).unwrap_or((after, ""));
            rest = after;
            if (is_secret(name) && is_value(value)) || is_key(name, value) {
                self.add_written(value);
                rest = remainder;
            }
        }
    }

    /// Adds an address whose path contains a token, and the token.
    fn webhook(&mut self, word: &str) {
        let path = word
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('/'));
        let path = path.map_or("", |(_, path)| path);
        let mut tokens = path
            .split(['/', '?', '&'])
            .filter(|part| is_random(part))
            .peekable();
        if tokens.peek().is_some() {
            self.add(word);
        }
        tokens.for_each(|token| self.add(token));
    }

    /// Searches JSON for strings under names of secrets. `is_secret`: whether the value itself is under such a name.
    fn json(&mut self, json: &Value, is_secret_name: bool) {
        match json {
            Value::String(text) if is_secret_name && is_value(text) => {
                self.whole(text);
                self.text(text);
            }
            Value::String(text) => self.text(text),
            Value::Array(items) => items
                .iter()
                .for_each(|item| self.json(item, is_secret_name)),
            Value::Object(members) => {
                for (name, value) in members {
                    let is_about = ["user", "username", "email", "url"].contains(&name.as_str());
                    let is_secret_name = (is_secret_name && !is_about) || is_secret(name);
                    self.json(value, is_secret_name);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| character.is_whitespace() || "\"'".contains(character))
}

/// The password of `user:password`.
fn password(login: &str) -> Option<&str> {
    let (user, password) = login.split_once(':')?;
    let is_user = |byte: u8| byte.is_ascii_alphanumeric() || b"_.@+-$".contains(&byte);
    let is_password = !password.is_empty()
        && !password.starts_with("//")
        && !password.contains(char::is_whitespace);
    (!user.is_empty() && user.bytes().all(is_user) && is_password).then_some(password)
}

/// The decoded text, if the value is base64 of one.
fn unpacked(value: &str) -> Option<String> {
    let packed: String = value.split_whitespace().collect();
    let mut bytes = ALPHABETS
        .iter()
        .filter_map(|alphabet| alphabet.decode(&packed).ok());
    let text = String::from_utf8(bytes.next()?).ok()?;
    let text = text.trim_end_matches(['\0', '\n']);
    let is_text = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    (text.len() >= MIN_SECRET_BYTES && is_text).then(|| text.to_owned())
}
