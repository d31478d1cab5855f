use super::*;

fn secrets(name: &str, value: &str) -> Vec<String> {
    search(name, value).secrets
}

#[test]
fn names_of_secrets_are_known_by_their_parts() {
    for name in [
        "TOKEN",
        "NPM_TOKEN",
        "npm_token",
        "npmToken",
        "NpmToken2",
        "NPM_TOKEN_2",
        "TOKEN_GITHUB",
        "npm.token",
        "GH-TOKEN",
        "DB_PASSWORD",
        "PASSWD",
        "DB_PASS",
        "MYSQL_PWD",
        "CLIENT_SECRET",
        "SECRET_KEY_BASE",
        "AWS_SECRET_ACCESS_KEY",
        "API_KEY",
        "apiKey",
        "APIKEY",
        "SENTRY_API_KEY_PROD",
        "PRIVATE_KEY",
        "SSH_PRIVATE_KEY",
        "ssh_key",
        "GOOGLE_CREDENTIALS",
        "CREDENTIAL",
        "NPM_AUTH",
        "_auth",
        "AUTH",
        "COMPOSER_AUTH",
        "PROXY_AUTHORIZATION",
        "GITHUB_PAT",
        "KEY_PASSPHRASE",
    ] {
        assert!(is_secret(name), "{name}");
    }
    for name in [
        "AUTHOR",
        "AUTHORS",
        "AUTHORITY",
        "TOKENIZER",
        "TOKENIZERS_PARALLELISM",
        "TOKENS",
        "KEYBOARD",
        "KEY",
        "CACHE_KEY",
        "PUBLIC_KEY",
        "SSH_PUBLIC_KEY",
        "SECRETARY",
        "PASSENGER_VERSION",
        "PASS_THROUGH",
        "COMPASS",
        "BYPASS",
        "PWD",
        "OLDPWD",
        "PATH",
        "AUTH_SERVER",
        "AUTH_URL",
        "OAUTH_CLIENT_ID",
        "AWS_ACCESS_KEY_ID",
        "TOKEN_URL",
        "TOKEN_FILE",
        "PASSWORD_MIN_LENGTH",
        "SECRET_NAME",
        "JWT_ISSUER",
        "VERSION",
        "",
        "_",
    ] {
        assert!(!is_secret(name), "{name}");
    }
}

#[test]
fn a_setting_is_not_a_secret() {
    for value in ["", "true", "1", "required", "Disabled", "   x   "] {
        assert_eq!(secrets("AUTH", value), Vec::<String>::new(), "{value}");
    }
    assert_eq!(secrets("AUTH", "hunter2-hunter2"), ["hunter2-hunter2"]);
    assert_eq!(secrets("VERSION", "hunter2-hunter2"), Vec::<String>::new());
}

#[test]
fn a_login_in_an_address_is_a_secret_whatever_the_name() {
    let index = "https://robot:p%40ss%3aword@pypi.example.com/simple";
    assert_eq!(
        secrets("PIP_INDEX_URL", index),
        ["p%40ss%3aword", "p@ss:word"]
    );
    let several =
        "--a=https://x-token-auth:one@a.example/x http://two@b.example https://c.example/@x";
    assert_eq!(secrets("OPTIONS", several), ["one"]);
    let token_first = "https://ghp_token:x-oauth-basic@github.com/acme/app";
    assert_eq!(secrets("REPO", token_first), ["ghp_token"]);
    assert_eq!(
        secrets("REPO", "git@github.com:acme/app a@b"),
        Vec::<String>::new()
    );
    assert_eq!(logins_of_address("https://me:p,'é@a.example/"), ["p,'é"]);
}

const JWT: &str =
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";

#[test]
fn names_in_one_word_and_acronyms_are_known() {
    for name in [
        "PGPASSWORD",
        "NPMTOKEN",
        "GHTOKEN",
        "DBPASS",
        "DBPWD",
        "SSHPASS",
        "accesstoken",
        "clientsecret",
        "JWTSecret",
        "DBPassword",
        "AWSSecretKey",
        "MYSQLROOTPASSWORD",
        "AZURE_STORAGE_CONNECTION_STRING",
        "ConnectionString",
        "AZURE_STORAGE_SAS",
        "SAS",
        "GITHUBTOKENPROD",
        "MYSECRETS2",
        "OLDPASSWORDHASH",
        "COOKIE",
        "SESSION_COOKIE",
        "LICENSE_KEY",
        "LICENCE_KEY",
    ] {
        let value = "hunter2-hunter2";
        assert_eq!(secrets(name, value), [value], "{name}");
    }
    for name in [
        "TIKTOKEN",
        "COMPASS",
        "BYPASS",
        "COOKIE_DOMAIN",
        "SECRET_BACKEND",
        "PASSWORDLESS",
        "TOKENIZER",
        "MAX_TOKENS",
        "SECRETARIAT",
    ] {
        let value = "hunter2-hunter2";
        assert_eq!(secrets(name, value), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_key_is_a_secret_if_its_value_is_random() {
    let laravel = "base64:2fl+Ktvkfl+Fuz4Qp/A75G2RTiWVA/ZoKZvp6fiiM10=";
    let hex = "9775a026f1ca7d1c6c5af9d94d9595a4";
    for name in [
        "APP_KEY",
        "DD_APP_KEY",
        "STRIPE_KEY",
        "ADMIN_KEY",
        "GPG_KEY",
        "JWT_KEY",
        "appKey",
    ] {
        for value in [laravel, hex] {
            assert!(secrets(name, value).contains(&value.to_owned()), "{name}");
        }
        for value in [
            "linux-amd64-node20-cache-v12",
            "some-plain-word-key",
            "key1",
        ] {
            assert_eq!(secrets(name, value), Vec::<String>::new(), "{name} {value}");
        }
    }
    for name in [
        "CACHE_KEY",
        "PUBLIC_KEY",
        "SSH_PUBLIC_KEY",
        "KEYBOARD",
        "SORT_KEY",
        "PARTITION_KEY",
        "KEY_ID",
        "GPG_KEY_ID",
    ] {
        assert_eq!(secrets(name, hex), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn the_kinds_of_names_in_the_readme_mark_a_secret() {
    for name in [
        "NPM_TOKEN",
        "TOKEN_NPM",
        "MYTOKEN",
        "ROOT_PASSWORD",
        "PASSWORD_OF_ROOT",
        "APP_SECRET",
        "SECRET_APP",
        "STRIPE_KEY",
        "MY_KEY",
        "SIGNING_KEY",
    ] {
        for value in ["hunter2hunter2", "short1Key", "a/b+c=d3fg"] {
            assert!(
                secrets(name, value).contains(&value.to_owned()),
                "{name} {value}"
            );
        }
    }
}

#[test]
fn a_known_kind_of_token_is_a_secret_whatever_the_name() {
    let rest = "0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV1wX";
    for prefix in [
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
        "glpat-",
        "npm_",
        "xoxb-",
        "xoxp-",
        "sk_live_",
        "rk_live_",
        "ATATT3",
        "ATCTT3",
        "ATBB",
        "dop_v1_",
        "dckr_pat_",
        "hf_",
        "pypi-",
    ] {
        let token = format!("{prefix}{rest}");
        for value in [
            token.clone(),
            format!("--with={token};x"),
            format!("a {token}"),
        ] {
            assert!(secrets("VERSION", &value).contains(&token), "{value}");
        }
    }
    assert_eq!(secrets("VERSION", JWT), [JWT]);
    for value in [
        "npm_config_registry_location",
        "hf_transformers_cache_dir",
        "ghp_",
        "AKIAIOSFODNN7EXAMPLE",
        "1.2.3-eyJ.a.b",
    ] {
        assert_eq!(secrets("VERSION", value), Vec::<String>::new(), "{value}");
    }
    let key =
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG\n-----END RSA PRIVATE KEY-----";
    assert!(secrets("VERSION", key).contains(&key.to_owned()));
    let line = key.replace('\n', "\\n");
    let found = secrets("VERSION", &line);
    assert!(
        found.contains(&"MIIEvQIBADANBgkqhkiG".to_owned()),
        "{found:?}"
    );
    let public = "-----BEGIN PUBLIC KEY-----\nMIIEvQIBADANBgkqhkiG\n-----END PUBLIC KEY-----";
    assert_eq!(secrets("VERSION", public), Vec::<String>::new());
}

#[test]
fn parts_of_a_value_are_secrets_too() {
    let login = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        "robot:hunter2hunter2",
    );
    let auths =
        format!(r#"{{"auths":{{"a.example":{{"auth":"{login}","email":"me@a.example"}}}}}}"#);
    for (name, value, part) in [
        (
            "BUNDLE_GEMS__CONTRIBSYS__COM",
            "robot:hunter2hunter2",
            "hunter2hunter2",
        ),
        (
            "NPMRC",
            "//npm.example.org/:_authToken=hunter2hunter2",
            "hunter2hunter2",
        ),
        (
            "NPMRC",
            "a=b\n//r.example/:_password=hunter2hunter2\nc=d",
            "hunter2hunter2",
        ),
        (
            "JAVA_OPTS",
            "-Xmx1g -Ddb.password=hunter2hunter2",
            "hunter2hunter2",
        ),
        ("DOCKER_AUTH_CONFIG", &auths, &login),
        ("DOCKER_AUTH_CONFIG", &auths, "hunter2hunter2"),
        (
            "HTTP_PROXY",
            "robot:hunter2hunter2@proxy:3128",
            "hunter2hunter2",
        ),
        (
            "COMPOSER_AUTH",
            r#"{"http-basic":{"a.example":{"username":"robot-user","password":"hunter2hunter2"}}}"#,
            "hunter2hunter2",
        ),
        (
            "COMPOSER_AUTH",
            r#"{"github-oauth":{"github.com":"hunter2hunter2"}}"#,
            "hunter2hunter2",
        ),
        ("NPM_AUTH", &login, "hunter2hunter2"),
        ("NPM_AUTH", login.trim_end_matches('='), "hunter2hunter2"),
        (
            "PROXY_CREDENTIALS",
            "robot:hunter2hunter2",
            "hunter2hunter2",
        ),
        (
            "ANY_CONFIG",
            r#"{"db":{"dbPassword":"hunter2hunter2"}}"#,
            "hunter2hunter2",
        ),
        (
            "STORAGE_CONNECTION_STRING",
            "AccountName=acme;AccountKey=hunter2hunter2==;X=1",
            "hunter2hunter2==",
        ),
        (
            "SLACK_WEBHOOK",
            "https://hooks.slack.com/services/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",
            "Xq3vTz8mK1pLr5nYw7bCd2fG",
        ),
        (
            "SLACK_WEBHOOK_URL",
            "https://hooks.slack.com/services/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",
            "Xq3vTz8mK1pLr5nYw7bCd2fG",
        ),
    ] {
        let found = secrets(name, value);
        assert!(found.contains(&part.to_owned()), "{name}: {found:?}");
        for other in [
            "robot-user",
            "robot",
            "me@a.example",
            "a.example",
            "acme",
            "a",
            "b",
        ] {
            assert!(!found.contains(&other.to_owned()), "{name}: {other}");
        }
    }
}

#[test]
fn a_token_in_the_query_of_an_address_is_a_secret() {
    for name in [
        "private_token",
        "access_token",
        "token",
        "sig",
        "X-Amz-Signature",
        "X-Amz-Security-Token",
        "X-Goog-Signature",
        "api_key",
    ] {
        for mark in ["?", "?a=b&", "#", "?a=b#"] {
            let address =
                format!("https://a.example/archive.tar.gz{mark}{name}=hunter2%2Fhunter&c=d");
            for found in [logins_of_address(&address), secrets("LIB", &address)] {
                assert_eq!(found, ["hunter2%2Fhunter", "hunter2/hunter"], "{address}");
            }
        }
    }
    let plain =
        "https://a.example/x?version=1.2.3-hunter2&token_type=production-like#readme-hunter2";
    assert_eq!(secrets("LIB", plain), Vec::<String>::new());
}

#[test]
fn users_and_common_words_are_no_secrets() {
    for (name, value) in [
        ("REPO", "https://acmecorp@bitbucket.org/acmecorp/app.git"),
        (
            "REPO",
            "https://acme-corp-team-2@bitbucket.org/acmecorp/app.git",
        ),
        ("REPO", "ssh://git@bitbucket.org/acmecorp/app.git"),
        ("DB", "postgres://postgres@db/app"),
        ("DB", "postgres://postgres:postgres@db/app"),
        ("DB", "mysql://application:application@db/app"),
        ("DB", "mysql://robot:password@db/app"),
        ("SECRET_BACKEND", "kubernetes"),
        ("SECRET", "kubernetes"),
        ("NPM_REGISTRY_AUTH", "npm.example.org"),
        ("NPM_AUTH", "https://npm.example.org/simple"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/app/credentials.json"),
        ("GOOGLE_CREDENTIALS", "config/credentials.json"),
        ("DB_PASSWORD", "/run/secrets/db"),
        ("ALIAS", "npm:react-package-name@18.2.0"),
        ("IMAGE", "acme/app:1.0-hunter2@sha256:0123"),
        ("REPO", "git@github.com:acme/app.git"),
    ] {
        assert_eq!(secrets(name, value), Vec::<String>::new(), "{name} {value}");
    }
    let token = "https://0aB1cD2eF3gH4iJ5kL6mN7oP@bitbucket.org/acme/app.git";
    assert_eq!(secrets("REPO", token), ["0aB1cD2eF3gH4iJ5kL6mN7oP"]);
    let slash = "/wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    assert_eq!(secrets("AWS_SECRET", slash), [slash]);
}
