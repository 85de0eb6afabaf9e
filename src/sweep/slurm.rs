//! Job scripts for schedulers: an array of cells, and a job that collects their results.

use std::fmt::Write;
use std::path::Path;

use super::manifest::{Entry, Manifest, Wanted};

/// Most elements of one array under Slurm's default `MaxArraySize`.
const MAX_ARRAY: usize = 1000;
/// Share of the predicted memory that is asked for in addition: a cgroup counts files too.
const SPARE: f64 = 0.25;
/// Least memory to ask for, in MiB.
const LEAST_MIB: u64 = 256;

/// What a scheduler is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Cells that run at once.
    pub throttle: usize,
    /// Cores of a cell.
    pub cores: usize,
    /// Time limit of a cell in minutes; the cluster's own where none is given.
    pub minutes: Option<u64>,
    /// Partition to submit to.
    pub partition: Option<String>,
    /// Further lines, such as `--account=x`.
    pub extra: Vec<String>,
}

/// The most that any cell takes.
struct Most {
    mib: u64,
    gpu: bool,
}

impl Most {
    fn of(entries: &[Entry]) -> Self {
        let bytes = entries.iter().map(|entry| entry.memory_bytes).max().unwrap_or(0);
        let mib = ((bytes as f64 * (1.0 + SPARE)) / f64::from(1 << 20)).ceil() as u64;
        let gpu = entries.iter().any(|entry| entry.device != Wanted::Cpu);
        Self { mib: mib.max(LEAST_MIB), gpu }
    }
}

/// Jobs that run a sweep: one for each cell, or, in successive halving, workers that share the rungs.
enum Jobs {
    Cells(usize),
    Workers(usize),
}

impl Jobs {
    fn of(manifest: &Manifest, request: &Request) -> Self {
        let cells = manifest.entries.len();
        match manifest.rungs().is_empty() {
            true => Self::Cells(cells),
            false => Self::Workers(request.throttle.min(cells)),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Cells(count) | Self::Workers(count) => *count,
        }
    }

    /// What a script says that it runs.
    fn words(&self, cells: usize) -> String {
        match self {
            Self::Cells(_) => format!("the {cells} cells"),
            Self::Workers(count) => format!("{count} workers for the {cells} cells"),
        }
    }

    /// The options of `fsct sweep run FOLDER`; `index` is the number of the job.
    fn options(&self, index: &str) -> String {
        match self {
            Self::Cells(_) => format!(" --index {index}"),
            Self::Workers(_) => String::new(),
        }
    }
}

/// A shell word, quoted.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// `90` minutes as `01:30:00`.
fn clock(minutes: u64) -> String {
    format!("{:02}:{:02}:00", minutes / 60, minutes % 60)
}

/// The script that submits a sweep: `bash script`. Each array has up to 1000 jobs; a job that collects
/// follows when all of them have ended, however they ended. In successive halving each job is a worker
/// that runs whatever cell of the open rung is free.
pub fn slurm(manifest: &Manifest, program: &Path, request: &Request) -> String {
    let folder = manifest.folder.display().to_string();
    let name = manifest.head.sweep.file_stem().map_or("sweep".into(), |it| it.to_string_lossy());
    let name: String = name
        .chars()
        .map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' })
        .collect();
    let most = Most::of(&manifest.entries);
    let jobs = Jobs::of(manifest, request);
    let cells = manifest.entries.len();
    let mut common = vec![
        format!("--job-name={name}"),
        format!("--cpus-per-task={}", request.cores),
        format!("--mem={}M", most.mib),
    ];
    common.extend(request.minutes.map(|minutes| format!("--time={}", clock(minutes))));
    common.extend(request.partition.as_ref().map(|partition| format!("--partition={partition}")));
    common.extend(request.extra.iter().cloned());
    if most.gpu {
        common.push("--gres=gpu:1".into());
    }
    let common: Vec<String> = common.iter().map(|it| quoted(it)).collect();
    let mut text = format!(
        "#!/usr/bin/env bash\n\
         # Submits {} of this sweep and a job that collects their results.\n\
         # Written by `fsct sweep slurm`; run it with bash on a machine that has sbatch.\n\
         set -euo pipefail\n\
         fsct={}\n\
         sweep={}\n\
         options=({})\n\
         mkdir -p \"$sweep/slurm\"\n\
         jobs=()\n",
        jobs.words(cells),
        quoted(&program.display().to_string()),
        quoted(&folder),
        common.join(" "),
    );
    let mut first = 0;
    while first < jobs.count() {
        let last = (first + MAX_ARRAY).min(jobs.count()) - 1;
        // TERM reaches the batch script two minutes before the time limit. `exec` makes fsct that script's
        // process; it passes the signal on, and the cell writes a checkpoint. The exit code 130 asks Slurm
        // for another turn, in which the cell is resumed.
        let _ = write!(
            text,
            "jobs+=(\"$(sbatch --parsable \"${{options[@]}}\" --array=0-{}%{} --requeue \
             --signal=B:TERM@120 --open-mode=append --output=\"$sweep/slurm/%A_%a.txt\" <<'END' \
             | cut -d';' -f1\n\
             #!/usr/bin/env bash\n\
             {fsct} sweep run {sweep}{options} &\n\
             cell=$!\n\
             trap 'kill -TERM \"$cell\"' TERM\n\
             code=0\n\
             wait \"$cell\" || code=$?\n\
             # A signal ends the first wait before the cell has ended.\n\
             while kill -0 \"$cell\" 2>/dev/null; do code=0; wait \"$cell\" || code=$?; done\n\
             if [ \"$code\" -eq 130 ]; then scontrol requeue \"${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}\"; fi\n\
             exit \"$code\"\n\
             END\n\
             )\")\n",
            last - first,
            request.throttle,
            options = jobs.options(&format!("$((SLURM_ARRAY_TASK_ID + {first}))")),
            fsct = quoted(&program.display().to_string()),
            sweep = quoted(&folder),
        );
        first = last + 1;
    }
    text += "after=$(IFS=:; echo \"${jobs[*]}\")\n\
             printf -v collect '%q sweep collect %q --output %q' \"$fsct\" \"$sweep\" \"$sweep/table.md\"\n\
             sbatch --parsable \"${options[@]}\" --dependency=afterany:\"$after\" \
             --output=\"$sweep/slurm/collect.txt\" --wrap=\"$collect\"\n\
             echo \"submitted ${jobs[*]}; the table will be in $sweep/table.md\"\n";
    text
}

/// An indexed Job of Kubernetes: `kubectl apply -f`, with an index for each cell, or in successive
/// halving for each worker. The image has `fsct`; the claim is a volume that all
/// its pods can write to, with the sweep's folder in it.
pub fn kubernetes(manifest: &Manifest, image: &str, claim: &str, request: &Request) -> String {
    let most = Most::of(&manifest.entries);
    let jobs = Jobs::of(manifest, request);
    let cells = manifest.entries.len();
    let folder = manifest.folder.display().to_string();
    let command = "exec fsct sweep run \"$SWEEP\"".to_owned();
    let command = command + &jobs.options("\"$JOB_COMPLETION_INDEX\"");
    let name: String = manifest
        .head
        .sweep
        .file_stem()
        .map_or_else(|| "sweep".into(), |it| it.to_string_lossy().to_lowercase())
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let mount = manifest.folder.parent().unwrap_or(Path::new("/")).display().to_string();
    let mut limits = serde_json::json!({"cpu": request.cores, "memory": format!("{}Mi", most.mib)});
    if most.gpu {
        limits["nvidia.com/gpu"] = 1.into();
    }
    let container = serde_json::json!({
        "name": "cell",
        "image": image,
        "command": ["sh", "-c", command],
        "env": [{"name": "SWEEP", "value": folder}],
        "resources": {"requests": limits, "limits": limits},
        "volumeMounts": [{"name": "sweep", "mountPath": mount}],
    });
    let mut spec = serde_json::json!({
        "completionMode": "Indexed",
        "completions": jobs.count(),
        "parallelism": request.throttle.min(jobs.count()),
        "backoffLimitPerIndex": 2,
        "maxFailedIndexes": jobs.count(),
        "template": {"spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 120,
            "containers": [container],
            "volumes": [{"name": "sweep", "persistentVolumeClaim": {"claimName": claim}}],
        }},
    });
    if let Some(minutes) = request.minutes {
        spec["template"]["spec"]["activeDeadlineSeconds"] = (60 * minutes).into();
    }
    let job = serde_json::json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": format!("fsct-{}", name.trim_matches('-'))},
        "spec": spec,
    });
    let head = format!(
        "# Runs {} of {folder}; `fsct sweep collect` makes the table when it is over.\n",
        jobs.words(cells)
    );
    head + &serde_yaml::to_string(&job).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SearchMethod;
    use crate::sweep::manifest::{Head, Searched};

    fn manifest(cells: usize, device: Wanted) -> Manifest {
        let entry = |index| Entry {
            index,
            id: format!("{index}"),
            values: serde_json::Map::new(),
            candidate: None,
            episodes_per_epoch: 1,
            test_episodes: 1,
            device,
            memory_bytes: 800 << 20,
            gpu_bytes: None,
            operations: 1.0,
        };
        let head = Head::new("/s/My sweep.yaml".into(), vec![], serde_json::Map::new(), vec![]);
        Manifest { folder: "/data/it's".into(), head, entries: (0..cells).map(entry).collect() }
    }

    fn request() -> Request {
        let extra = vec!["--account=x".into()];
        Request { throttle: 8, cores: 4, minutes: Some(90), partition: None, extra }
    }

    #[test]
    fn a_large_sweep_is_several_arrays() {
        let text = slurm(&manifest(2500, Wanted::Gpu), Path::new("/bin/fsct"), &request());
        for part in [
            "'--job-name=My_sweep' '--cpus-per-task=4' '--mem=1000M' '--time=01:30:00' '--account=x' '--gres=gpu:1'",
            "--array=0-999%8 ",
            "--array=0-499%8 ",
            "SLURM_ARRAY_TASK_ID + 2000)",
            "sweep='/data/it'\\''s'",
            "--dependency=afterany:\"$after\"",
            "--requeue --signal=B:TERM@120",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert_eq!(text.matches("--array=").count(), 3);
        let small = slurm(&manifest(3, Wanted::Cpu), Path::new("/bin/fsct"), &request());
        assert!(small.contains("--array=0-2%8") && !small.contains("gres"), "{small}");
    }

    #[test]
    fn halving_has_workers_that_share_the_rungs() {
        let mut halving = manifest(27, Wanted::Cpu);
        halving.head.search = Some(Searched {
            method: SearchMethod::Halving,
            budget: 27,
            seed: 0,
            keys: Vec::new(),
            rungs: crate::config::rungs(27, 3, 9),
        });
        let text = slurm(&halving, Path::new("/bin/fsct"), &request());
        assert!(text.contains("--array=0-7%8") && text.contains("8 workers"), "{text}");
        assert!(
            !text.contains("--index") && text.contains("sweep run '/data/it'\\''s' &"),
            "{text}"
        );
        let text = kubernetes(&halving, "registry/fsct:1", "data", &request());
        let job: serde_json::Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(job["spec"]["completions"], 8);
        let command = &job["spec"]["template"]["spec"]["containers"][0]["command"][2];
        assert_eq!(command, "exec fsct sweep run \"$SWEEP\"");
    }

    #[test]
    fn an_indexed_job_has_an_index_for_each_cell() {
        let text = kubernetes(&manifest(12, Wanted::Gpu), "registry/fsct:1", "data", &request());
        let job: serde_json::Value = serde_yaml::from_str(&text).unwrap();
        let spec = &job["spec"];
        assert_eq!((&spec["completions"], &spec["parallelism"]), (&12.into(), &8.into()));
        assert_eq!(spec["completionMode"], "Indexed");
        let container = &spec["template"]["spec"]["containers"][0];
        assert_eq!(container["resources"]["limits"]["nvidia.com/gpu"], 1);
        assert_eq!(container["env"][0]["value"], "/data/it's");
        assert_eq!(job["metadata"]["name"], "fsct-my-sweep");
    }
}
