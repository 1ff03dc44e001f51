//! That the files which deploy Saldo set what it knows, and all that it needs: `Dockerfile`, `docker-compose.yml` and
//! `deploy`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::program::Program;

/// What is kept elsewhere, and only named in the files.
const SECRETS: [(&str, &str); 4] = [
    ("saldo-database-url", "postgres://saldo:wKf0xQ9vTz3n@127.0.0.1:1/saldo"),
    ("saldo-smtp-url", "smtps://saldo:Yq7Lr2mXc8@mail.example.com"),
    ("saldo-stripe-secret-key", "sk_live_51Nq8vTzWkf0xQ9v"),
    ("saldo-stripe-webhook-secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
];

/// A container of the image: the command that it runs, and its environment.
struct Deployed {
    name: String,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
}

fn read(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(&path).expect("the file is there");
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap_or_else(|| panic!("a list: {list}"));
    list.iter().map(|entry| entry.as_str().expect("a text").to_owned()).collect()
}

/// What the image sets, where nobody says otherwise.
fn of_the_image() -> BTreeMap<String, String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Dockerfile");
    let text = std::fs::read_to_string(file).expect("the file is there").replace("\\\n", " ");
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
