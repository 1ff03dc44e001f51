//! That the files which deploy Saldo set what it knows, and all that it needs: `Dockerfile`, `docker-compose.yml` and
//! `deploy`.

use std::collections::BTreeMap;
use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};

use crate::program::Program;
use crate::support::Database;

/// What is kept elsewhere, and only named in the files.
const SECRETS: [(&str, &str); 5] = [
    ("saldo-database-url", "postgres://saldo_server:wKf0xQ9vTz3n@127.0.0.1:1/saldo"),
    ("saldo-migrations-database-url", "postgres://saldo_owner:hB4nZs6uRw1k@127.0.0.1:1/saldo"),
    ("saldo-smtp-url", "smtps://saldo:Yq7Lr2mXc8@mail.example.com"),
    ("saldo-stripe-secret-key", "sk_live_51Nq8vTzWkf0xQ9v"),
    ("saldo-stripe-webhook-secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
];

/// Where the owner's address stands.
const OWNERS: &str = "SALDO_MIGRATIONS_DATABASE_URL";
/// What Postgres says to who has not the right.
const NOT_ALLOWED: &str = "42501";

/// A container of the image: the command that it runs, and its environment.
struct Deployed {
    name: String,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
}

fn text(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(&path).expect("the file is there")
}

fn read(file: &str) -> Value {
    serde_saphyr::from_str(&text(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap_or_else(|| panic!("a list: {list}"));
    list.iter().map(|entry| entry.as_str().expect("a text").to_owned()).collect()
}

/// What the image sets, where nobody says otherwise.
fn of_the_image() -> BTreeMap<String, String> {
    let text = text("Dockerfile").replace("\\\n", " ");
    let set = text.lines().filter_map(|line| line.strip_prefix("ENV SALDO"));
    let [set] = set.collect::<Vec<_>>()[..] else { panic!("one line of settings") };
    let settings = format!("SALDO{set}");
    let pairs = settings.split_whitespace().map(|pair| pair.split_once('=').expect("a value"));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Services of the image, with nothing set in the shell: what a variable is then is told in its own place.
fn composed() -> Vec<Deployed> {
    let compose = read("docker-compose.yml");
    let services = compose["services"].as_object().expect("services");
    let ours = services.iter().filter(|(_, service)| service["image"] == "saldo:local");
    let deployed = |(name, service): (&String, &Value)| Deployed {
        name: format!("docker-compose.yml, {name}"),
        arguments: texts(&service["command"]),
        environment: service["environment"]
            .as_object()
            .expect("an environment")
            .iter()
            .map(|(name, value)| (name.clone(), interpolated(value.as_str().expect("a text"))))
            .collect(),
    };
    ours.map(deployed).collect()
}

/// `${NAME:-default}` in an empty shell.
fn interpolated(value: &str) -> String {
    let Some((before, rest)) = value.split_once("${") else { return value.to_owned() };
    let (variable, after) = rest.split_once('}').expect("a variable ends");
    let (_, default) = variable.split_once(":-").expect("a variable has a default");
    format!("{before}{default}{}", interpolated(after))
}

fn on_cloud_run(file: &str) -> Deployed {
    let description = read(&format!("deploy/cloudrun/{file}"));
    let spec = &description["spec"]["template"]["spec"];
    // A job's containers are one level below.
    let spec = spec.get("template").map_or(spec, |template| &template["spec"]);
    let [container] = spec["containers"].as_array().expect("containers").as_slice() else {
        panic!("{file}: one container");
    };
    let value = |variable: &Value| {
        let secret = &variable["valueFrom"]["secretKeyRef"]["name"];
        let known = SECRETS.iter().find(|(name, _)| secret == name);
        let value = known.map(|(_, value)| *value).or_else(|| variable["value"].as_str());
        value.unwrap_or_else(|| panic!("{file}: a value of {variable}")).to_owned()
    };
    let environment = container["env"].as_array().expect("an environment");
    Deployed {
        name: file.to_owned(),
        arguments: texts(&container["args"]),
        environment: environment
            .iter()
            .map(|variable| {
                (variable["name"].as_str().expect("a name").to_owned(), value(variable))
            })
            .collect(),
    }
}

fn deployed() -> Vec<Deployed> {
    let mut all = composed();
    assert_eq!(all.len(), 3, "server, worker and migrate");
    all.extend(["server.yaml", "worker.yaml", "migrate.yaml"].map(on_cloud_run));
    all
}

#[test]
fn what_deploys_it_sets_what_it_knows_and_all_that_it_needs() {
    let program = Program::new();
    for Deployed { name, arguments, environment } in deployed() {
        let mut all = of_the_image();
        all.extend(environment);
        let settings: Vec<_> =
            all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let checked = program.check(&settings);
        assert!(checked.complained.is_empty(), "{name}: {checked:?}");
        // Who only migrates needs neither mail nor an address.
        let serves = arguments != ["migrate"];
        assert!(!serves || checked.problems().is_empty(), "{name}: {checked:?}");
        for (setting, value) in settings.iter().filter(|(_, value)| !value.is_empty()) {
            let (_, from) = checked.shown(setting);
            assert_eq!(from, "environment", "{name}: {setting} = {value}");
        }
    }
}

#[test]
fn what_deploys_it_runs_commands_that_it_has() {
    let program = Program::new();
    for Deployed { name, mut arguments, .. } in deployed() {
        arguments.push("--help".to_owned());
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let helped = program.run(&arguments, &[]);
        assert_eq!(helped.code, Some(0), "{name}: {helped:?}");
    }
}

#[test]
fn behind_googles_front_end_people_have_addresses_of_their_own() {
    let trusted = on_cloud_run("server.yaml").environment.remove("SALDO_TRUSTED_PROXIES");
    assert!(trusted.is_some_and(|networks| !networks.is_empty()));
}

#[test]
fn only_what_migrates_has_the_address_of_the_databases_owner() {
    for Deployed { name, arguments, environment } in deployed() {
        let owner = environment.get(OWNERS);
        assert_eq!(owner.is_some(), arguments == ["migrate"], "{name}");
        let Some(owner) = owner else { continue };
        let user = |url: &str| {
            let options: PgConnectOptions = url.parse().expect("an address of a database");
            options.get_username().to_owned()
        };
        assert_ne!(user(owner), user(&environment["DATABASE_URL"]), "{name}");
    }
}

/// Compose's Postgres, as a database and roles of the tests' own: its file is executed under other names.
struct Composed {
    tests: Database,
    name: String,
    db: PgConnection,
}

impl Composed {
    async fn new() -> Self {
        let tests = Database::in_memory().await;
        std::fs::create_dir_all(&tests.data).expect("a folder");
        let name = format!("composed_{}", tests.name);
        let db = tests.options().connect().await.expect("whoever sets it up is let in");
        let mut composed = Self { tests, name, db };
        composed.execute(&text("deploy/postgres/roles.sql")).await;
        composed
    }

    /// Other tests may run beside this one, on the same Postgres.
    fn renamed(&self, text: &str) -> String {
        let roles = text.replace("saldo_", &format!("{}_", self.name));
        roles.replace("database saldo", &format!("database {}", self.name))
    }

    /// Databases are made one by one, outside of transactions.
    async fn execute(&mut self, sql: &str) {
        let lines: Vec<_> = sql.lines().filter(|line| !line.starts_with("--")).collect();
        let sql = self.renamed(&lines.join("\n"));
        for statement in sql.split(';').filter(|statement| !statement.trim().is_empty()) {
            let statement = AssertSqlSafe(statement.to_owned());
            sqlx::raw_sql(statement).execute(&mut self.db).await.expect("it is done");
        }
    }

    /// An address of Compose's, as it is here.
    fn address(&self, url: &str) -> String {
        let (who, place) = url.split_once('@').expect("a user");
        assert_eq!(place, "postgres/saldo", "{url}");
        let own = self.tests.url();
        let (_, place) = own.split_once('@').expect("a user");
        let place = place.replacen(&self.tests.name, &self.name, 1);
        format!("{}@{place}", self.renamed(who))
    }

    /// What Compose sets for a command, with the addresses and the folder of here.
    fn settings_of(&self, command: &str) -> BTreeMap<String, String> {
        let service = composed().into_iter().find(|service| service.arguments == [command]);
        let mut settings = service.expect("a service").environment;
        // Nobody is there by that name, and nobody is needed.
        settings.remove("REDIS_URL");
        for (name, value) in &mut settings {
            if ["DATABASE_URL", OWNERS].contains(&name.as_str()) {
                *value = self.address(value);
            }
        }
        let data = self.tests.data.to_str().expect("a text").to_owned();
        settings.insert("SALDO_DATA_DIR".to_owned(), data);
        settings
    }

    async fn remove(mut self) {
        let sql = "drop database saldo with (force); drop role saldo_server; drop role saldo_owner";
        self.execute(sql).await;
        drop(self.db);
        self.tests.remove().await;
    }
}

/// What the role of this address is told when it deletes the log that it reads.
async fn refusal_to_delete(url: &str) -> Option<String> {
    let options: PgConnectOptions = url.parse().expect("an address of a database");
    let mut db = options.connect().await.expect("the server's role is let in");
    let read: i64 =
        sqlx::query_scalar("select count(*) from events").fetch_one(&mut db).await.expect("a log");
    assert!(read > 0, "there is nothing to delete");
    let deleted = sqlx::query("delete from events").execute(&mut db).await;
    let error = deleted.expect_err("it deletes the log");
    error.as_database_error().and_then(|error| error.code().map(String::from))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_compose_starts_migrates_by_one_role_and_serves_by_another_that_may_only_append() {
    let postgres = Composed::new().await;
    let migrating = postgres.settings_of("migrate");
    let settings: Vec<_> =
        migrating.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let migrated = Program::new().run(&["migrate"], &settings);
    assert_eq!(migrated.code, Some(0), "{migrated:?}");

    let serving = postgres.settings_of("serve");
    let settings: Vec<_> =
        serving.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let url = &serving["DATABASE_URL"];
    let server = postgres.tests.server_with(url, &settings);
    let ada = json!({ "email": "ada@example.com", "password": "correct horse battery" });
    let registered = server.send(Method::POST, "/api/v1/auth/register", &[], Some(&ada)).await;
    let registered = registered.expect("an answer");
    assert_eq!(registered.status, StatusCode::ACCEPTED, "{:?}", registered.body);
    drop(server);
    assert_eq!(refusal_to_delete(url).await.as_deref(), Some(NOT_ALLOWED));
    postgres.remove().await;
}
