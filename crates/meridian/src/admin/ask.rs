//! Finds the nodes of a cluster and one of them that answers.

use super::AdminArgs;
use crate::cli::Shell;
use crate::cluster_file::ClusterFile;
use anyhow::{Context, bail};
use meridian_server::client::{AdminClient, CallError};
use meridian_server::config::Secret;
use serde_json::{Value, json};
use std::time::Duration;

/// Longest time that a node may take to say what it knows.
const READ_TIME: Duration = Duration::from_secs(5);

/// The admin listeners of a cluster.
#[derive(Clone)]
pub(super) struct Cluster {
    /// By region; one region without a name where only endpoints are known.
    regions: Vec<(String, Vec<String>)>,
    router: Option<String>,
    control: Option<String>,
    secret: Option<Secret>,
    time: Duration,
}

impl Cluster {
    /// What the command line says of the cluster.
    pub(super) fn find(args: &AdminArgs, shell: &Shell) -> anyhow::Result<Self> {
        let secret = match &args.cluster_secret_file {
            None => None,
            Some(file) => match Secret::read(file) {
                Ok(secret) => Some(secret),
                Err(text) => bail!("--cluster-secret-file {} {text}", file.display()),
            },
        };
        let mut cluster = Cluster {
            regions: Vec::new(),
            router: args.router.clone(),
            control: None,
            secret,
            time: args.timeout,
        };
        match (&shell.cluster, args.endpoint.is_empty()) {
            (Some(file), _) => {
                let file = ClusterFile::read(file)?;
                let admin = |r: &crate::cluster_file::RegionEntry| {
                    (r.name.clone(), r.nodes.iter().map(|n| n.admin.clone()).collect())
                };
                cluster.regions = file.regions.iter().map(admin).collect();
                cluster.router = cluster.router.or(file.router_admin);
                cluster.control = file.control;
            }
            (None, false) => cluster.regions.push((String::new(), args.endpoint.clone())),
            (None, true) => bail!("which cluster? give --cluster FILE or --endpoint URL"),
        }
        Ok(cluster)
    }

    /// One region of the cluster, where there is a choice.
    pub(super) fn only(&self, region: Option<&str>) -> anyhow::Result<Cluster> {
        let names = || self.regions.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
        let regions = match (self.regions.as_slice(), region) {
            ([_], None) => self.regions.clone(),
            (several, None) => bail!(
                "which of the {} regions? give --in REGION: {}",
                several.len(),
                names().join(", ")
            ),
            // Endpoints alone do not say of which region they are.
            ([(name, _)], Some(_)) if name.is_empty() => self.regions.clone(),
            (known, Some(region)) => {
                let named = known.iter().filter(|(name, _)| name == region).cloned().collect();
                if Vec::is_empty(&named) {
                    bail!("--in {region}: the cluster file has the regions {}", names().join(", "));
                }
                named
            }
        };
        Ok(Cluster { regions, ..self.clone() })
    }

    /// Asks one node for what may take long.
    pub(super) async fn slowly(&self, path: &str) -> anyhow::Result<Value> {
        let nodes: Vec<String> = self.regions.iter().flat_map(|(_, nodes)| nodes.clone()).collect();
        self.any(&nodes, path, self.time).await
    }

    /// Whether a node knows what a path names.
    pub(super) async fn is_there(&self, path: &str) -> anyhow::Result<bool> {
        match self.everywhere(path).await {
            Ok(_) => Ok(true),
            Err(error) => match error.downcast_ref() {
                Some(CallError::Refused { status: 404, .. }) => Ok(false),
                Some(_) | None => Err(error),
            },
        }
    }

    /// What each node says by itself; those that do not answer say nothing.
    pub(super) async fn each(&self, path: &str) -> Vec<(String, Option<Value>)> {
        let mut said = Vec::new();
        for node in self.regions.iter().flat_map(|(_, nodes)| nodes) {
            let answer = self.client(node, READ_TIME).get(path).await;
            said.push((node.clone(), answer.ok()));
        }
        said
    }

    fn client(&self, url: &str, time: Duration) -> AdminClient {
        AdminClient::new(url, self.secret.clone(), time)
    }

    /// Asks one node of each region and joins the answers. Regions that do not answer are passed
    /// over as long as one does.
    pub(super) async fn everywhere(&self, path: &str) -> anyhow::Result<Value> {
        let mut answers = Vec::new();
        let mut failure = None;
        for (_, nodes) in &self.regions {
            match self.any(nodes, path, READ_TIME).await {
                Ok(answer) => answers.push(answer),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if answers.is_empty() => Err(error),
            _ => super::joined(answers),
        }
    }

    async fn any(&self, nodes: &[String], path: &str, time: Duration) -> anyhow::Result<Value> {
        let mut failure = None;
        for node in nodes {
            match self.client(node, time).get(path).await {
                Ok(answer) => return Ok(answer),
                Err(error @ CallError::Refused { status: 400 | 403 | 404, .. }) => {
                    return Err(error.into());
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.map_or_else(|| anyhow::anyhow!("a region without nodes"), Into::into))
    }

    /// Has something done by a node, outside `region` where there is a choice.
    pub(super) async fn change(
        &self,
        path: &str,
        body: &Value,
        region: Option<&str>,
    ) -> anyhow::Result<Value> {
        let concerns = |name: &String| region == Some(name.as_str());
        let outside = self.regions.iter().filter(|(name, _)| !concerns(name));
        let inside = self.regions.iter().filter(|(name, _)| concerns(name));
        let mut failure = None;
        for node in outside.chain(inside).flat_map(|(_, nodes)| nodes) {
            match self.client(node, self.time).post(path, body).await {
                Ok(answer) => return Ok(answer),
                // Nobody there: surely not received.
                Err(error @ CallError::Unreachable { .. }) => failure = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        Err(failure.map_or_else(|| anyhow::anyhow!("a cluster without nodes"), Into::into))
    }

    /// Lets the router return to a region, where a router is known.
    pub(super) async fn return_at_router(&self, region: &str) -> anyhow::Result<()> {
        let Some(router) = &self.router else { return Ok(()) };
        let body = json!({ "region": region });
        self.client(router, READ_TIME).post("/admin/router/return", &body).await?;
        Ok(())
    }

    /// Has a playground start a node again.
    pub(super) async fn start_node(&self, node: u64) -> anyhow::Result<Value> {
        let control = self.control.as_ref().context(
            "only a running playground starts nodes; give the --cluster FILE that it wrote",
        )?;
        let body = json!({ "node": node });
        Ok(self.client(control, self.time).post("/admin/node/start", &body).await?)
    }
}
