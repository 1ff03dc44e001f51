//! LiteLLM's proxy, which meters calls too: another way from the same load to the same provider.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use super::BenchError;
use super::load::{Client, Spender};

/// What opens it.
const KEY: &str = "sk-bench";
/// How long it may take to start: it reads much of Python first.
const STARTING: Duration = Duration::from_mins(3);
/// How often it is asked whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A running proxy; killed when dropped.
pub(super) struct LiteLlm {
    pub(super) address: SocketAddr,
    _process: Child,
}

impl LiteLlm {
    /// Starts `program` before the provider at `url`, with what is spent counted against budgets.
    pub(super) async fn start(
        program: &Path,
        folder: &Path,
        url: &str,
    ) -> Result<Self, BenchError> {
        let config = folder.join("litellm.yaml");
        std::fs::write(&config, configuration(url))?;
        // Free until it is asked for again: the proxy takes a number only.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?;
        let mut process = Command::new(program)
            .arg("--config")
            .arg(&config)
            .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
            // Nothing is fetched or told, and nothing is logged for each call.
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            .env("LITELLM_TELEMETRY", "False")
            .env("LITELLM_LOG", "ERROR")
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let began = Instant::now();
        while !is_alive(address).await {
            let ended = process.try_wait()?.is_some();
            if ended || began.elapsed() > STARTING {
                let why = if ended { "ended" } else { "does not answer" };
                let program = program.display();
                return Err(BenchError::Answer(format!(
                    "{program} --config … {why}: try it alone"
                )));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(Self { address, _process: process })
    }

    /// Who may call.
    pub(super) fn spender() -> Spender {
        Spender { bearer: KEY.to_owned() }
    }
}

async fn is_alive(address: SocketAddr) -> bool {
    match Client::connect(address).await {
        Ok(mut client) => client.is_well("/health/liveliness").await.is_ok(),
        Err(_) => false,
    }
}

/// The executable, where one is on `PATH`.
pub(super) fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("litellm")).find(|file| file.is_file())
}

/// A budget for all that the provider is paid, which it counts in memory and refuses calls beyond. Budgets of
/// keys and of the whole proxy would need a database, and a program that is fetched from elsewhere.
fn configuration(url: &str) -> String {
    format!(
        "model_list:
  - model_name: bench
    litellm_params:
      model: openai/bench
      api_base: {url}
      api_key: none
      input_cost_per_token: 0.000001
      output_cost_per_token: 0.000001
router_settings:
  provider_budget_config:
    openai:
      budget_limit: 1000000
      time_period: 1d
general_settings:
  master_key: {KEY}
"
    )
}
