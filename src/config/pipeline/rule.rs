//! Every rule that a diagnostic can name: one table, read by the checks and by `fsct explain CODE`.
//!
//! A wrong value of a single key needs no rule of its own: its code is its key, and the key's
//! documentation says what is allowed.

/// Whether a pipeline that breaks a rule can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The pipeline is refused.
    Error,
    /// The pipeline runs; `--deny-warnings` refuses it.
    Warning,
}

/// Which keys a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// None: it is about the text as a whole.
    Text,
    /// Any key of a kind, such as every path.
    Any,
    /// These keys, by their dotted path.
    These(&'static [&'static str]),
}

/// Keys that only some methods read.
const OF_METHODS: Keys = Keys::These(&[
    "method.alignment",
    "method.alpha",
    "method.attention",
    "method.balance",
    "method.classifier",
    "method.cosine_scale",
    "method.depth",
    "method.dim_attn",
    "method.dim_head",
    "method.distance",
    "method.heads",
    "method.loss",
    "method.mlp_dim",
    "method.n_neighbors",
    "method.prototypes",
    "method.temperature",
    "method.transform",
]);

const ROOTS: Keys =
    Keys::These(&["data.root", "train.data.root", "validate.data.root", "test.data.root"]);

/// Ways and shots.
const TIED: Keys = Keys::These(&[
    "episode.k_shot",
    "episode.n_way",
    "test.episode.k_shot",
    "test.episode.n_way",
    "validate.episode.k_shot",
    "validate.episode.n_way",
]);

macro_rules! rules {
    ($($variant:ident $severity:ident $keys:expr, $name:literal, $title:literal: $text:literal;)*) => {
        /// A rule that a pipeline can break.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Rule {
            $(#[doc = $title] $variant,)*
        }

        impl Rule {
            /// All rules: those of the text first, then by key.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The last part of its code.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The rule in one line.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// The reason, and what to do.
            pub fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Whether a pipeline that breaks it is refused.
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }

            /// The keys that it is about.
            pub fn keys(self) -> Keys {
                use Keys::{Any, Text, These};
                match self { $(Self::$variant => $keys,)* }
            }
        }
    };
}

rules! {
    DuplicateKey Error Text, "duplicate_key", "a key is written twice in one mapping":
        "YAML forbids it, and readers disagree on which one counts. Keep one.";
    Encoding Error Text, "encoding", "the file is not plain UTF-8 text":
        "Invalid UTF-8, UTF-16 and control characters such as NUL are refused at the first one. \
         Save the file as UTF-8; a byte order mark and Windows line ends are fine.";
    File Error Text, "file", "the pipeline file cannot be read":
        "It does not exist, is a folder, or may not be read. The exit code is 2: nothing is said \
         about the pipeline itself.";
    Limit Error Text, "limit", "the text is larger, deeper or more expanded than any pipeline":
        "A pipeline file has at most 1 MiB, 32 levels and 20,000 values, aliases expanded, and \
         `extends` names at most 16 files in a row. The limits keep a broken or hostile file from \
         filling the memory.";
    MissingKey Error Text, "missing_key", "a key that has no default is not written":
        "`data`, `backbone.kind` and `method.kind` are what a pipeline is about; nothing sensible \
         can be assumed. Everything else has a default.";
    Override Error Text, "override", "a `--set` is not of the form `key=value`":
        "Write the key with dots and the value as in YAML: `--set memory.amp=f16`.";
    Value Error Text, "pipeline", "the file is empty, or not a mapping":
        "A pipeline is a mapping from `data`, `backbone`, `method` and others to their settings. \
         `fsct init` writes one to start from.";
    Syntax Error Text, "syntax", "the text is not YAML, or YAML that a pipeline has no use for":
        "Most often a tab, an unclosed bracket or quote, a missing space after a colon or uneven \
         indentation. Merge keys, custom tags, keys that are not plain words and several documents \
         in one file are refused too.";
    UnknownKey Error Text, "unknown_key", "a key does not exist":
        "Unknown keys are errors, as a misspelt key would otherwise be silently ignored. \
         `fsct explain` lists all keys.";
    DoesNotExist Error Any, "does_not_exist", "the file or folder is not there":
        "A path in a file is relative to that file; one in `--set` or the environment is relative \
         to the current directory. `~` is the home folder and `${NAME}` an environment variable. \
         `fsct validate --offline` does not look.";
    Unexpanded Error Any, "unexpanded", "a path names a variable or a home folder that is not known":
        "In a path, `${NAME}` is replaced by the environment variable NAME, which must be set and \
         not empty, and a leading `~` by the home folder, which the variable HOME names. `~name`, \
         the home folder of somebody else, is not supported. `$${` is a literal `${`.";
    NotUtf8 Error Any, "not_utf8", "a relative path is in a folder whose name is not UTF-8":
        "A run writes absolute paths into its `pipeline.yaml`, so that it can be resumed and tested from \
         any folder, and YAML text is UTF-8. Rename the folder, or name an absolute path that is UTF-8.";
    NotOfThisMethod Error OF_METHODS, "not_of_this_method", "the method does not read this key":
        "`distance` belongs to `protonet` and `knn`; `transform` to `simpleshot`, `bdcspn`, \
         `laplacianshot` and `tim`; `alpha` to `tim`; `n_neighbors` to `knn`; `cosine_scale` to `matching`; \
         `temperature` and `balance` to `feat`; `loss` to `relation`; `alignment` and `dim_attn` to `ctx`; \
         `depth`, `heads`, `dim_head`, `mlp_dim`, `prototypes` and `classifier` to `fsct` and \
         `profoct`; `attention` to those two and `ctx`. Elsewhere the key would do nothing. Remove it, \
         or choose the method that reads it.";
    Unused Warning These(&[
        "data.splits",
        "data.rotations",
        "optimizer.momentum",
        "optimizer.schedule.final_share",
        "optimizer.schedule.milestones",
        "optimizer.schedule.min_learning_rate",
        "optimizer.schedule.restart_epochs",
        "optimizer.schedule.restart_factor",
        "optimizer.schedule.step_epochs",
        "optimizer.schedule.step_factor",
        "train.pretrain.optimizer.momentum",
        "train.pretrain.optimizer.schedule.final_share",
        "train.pretrain.optimizer.schedule.milestones",
        "train.pretrain.optimizer.schedule.min_learning_rate",
        "train.pretrain.optimizer.schedule.restart_epochs",
        "train.pretrain.optimizer.schedule.restart_factor",
        "train.pretrain.optimizer.schedule.step_epochs",
        "train.pretrain.optimizer.schedule.step_factor",
    ]), "unused", "nothing reads the value":
        "Another key's value decides whether this one is read: only `sgd` has momentum, only \
         cosine schedules a final share. Remove it, or change the other key.";
    NothingToTrain Error These(&["backbone.train"]), "nothing_to_train",
        "the method has no weights but its backbone's":
        "With `backbone.train: false` no step could change anything. Train the backbone, or use a \
         method with weights of its own.";
    NoBatchNorms Error These(&["backbone.batch_norm"]), "no_batch_norms",
        "the backbone has no batch norms":
        "A vision transformer normalises each token by itself, so that the features of an image never depend on \
         others. Remove the key.";
    NotOfThisBackbone Error These(&["backbone.patch_size", "backbone.registers"]), "not_of_this_backbone",
        "the backbone does not read this key":
        "Only a vision transformer divides images into patches and has registers. Elsewhere the key would do \
         nothing. Remove it, or choose `vit_small` or `vit_base`.";
    NoSuchTrunk Error These(&["backbone.trunk"]), "no_such_trunk",
        "the architecture does not come with this trunk":
        "`resnet18` and `resnet34` have torchvision's trunk and FETI's, `resnet12` only FETI's, and \
         `resnet12_wide` and convolutional networks have no choice.";
    OtherArchitecture Error These(&["backbone.weights.from"]), "other_architecture",
        "such weights are of another architecture":
        "torchvision's are of `resnet18` and `resnet34` with torchvision's trunk, FETI's of ResNets \
         with `trunk: feti`, those of `few_shot` of `resnet12_wide`, DINOv2's of `vit_small` and `vit_base`. \
         A convolutional network starts from a `checkpoint`.";
    UnfitWeights Error These(&["backbone.weights.path"]), "unfit",
        "the file is there, and its weights cannot be used":
        "It is damaged, or its tensors have other names or shapes than the backbone's; the message \
         names them. `backbone.weights.allow_missing` lists those that may keep their initial \
         values. `fsct validate --offline` does not look.";
    CropScales Error These(&["data.augment.random_resized_crop.min_scale"]), "above_max",
        "the least share of the area is above the greatest":
        "The area of a random crop is drawn between `min_scale` and `max_scale` of the image's.";
    ImageTooSmall Error These(&["data.image_size"]), "too_small",
        "the backbone shrinks the image to nothing":
        "Each pooling layer halves height and width; a Conv4 has four. Use larger images or a \
         backbone with less pooling.";
    NotInPatches Error These(&["data.image_size"]), "not_in_patches",
        "the patches of a vision transformer do not fill the image":
        "It divides an image into squares of `backbone.patch_size` pixels, 14 if it is not written, and has no use for \
         a part of one. Use a multiple: 224 px are 16 patches of 14 px each way, or 14 of 16 px.";
    Moments Error These(&["data.normalize.mean", "data.normalize.std"]), "moments",
        "mean and deviation do not fit the channels":
        "Give one number for all channels or one for each: three for `conv4`, one for `conv4s`. A \
         deviation divides, so it is above 0.";
    RootMissing Error ROOTS, "missing", "nothing says where the data set is":
        "Write `data.root`, or give it as `--set data.root=…` or `FSCT_DATA__ROOT`. Only \
         `format: synthetic` needs none.";
    Overlap Warning These(&["data.root"]), "overlap",
        "two splits share classes or pictures, or a picture is there twice":
        "Few-shot accuracy is of classes that training has not seen, on pictures that it has not seen. \
         A picture under two names of one split could be support and query of an episode. Files are \
         compared by identity (links), and by content where those of equal sizes have 64 MiB or less \
         together; `fsct data inspect` compares all. If all test classes are training classes, it is \
         an error.";
    UnusableData Error These(&["data.root"]), "unusable",
        "the folder is there, and its images cannot be used":
        "A file is damaged or cannot be read; the message names it. `fsct validate --offline` does \
         not look.";
    DeviceAbsent Error These(&["device"]), "absent",
        "there is no such GPU, no driver, or no libdevice":
        "`fsct doctor` lists the GPUs that the driver sees, counted from 0, and says what is missing. \
         Kernels are compiled with NVIDIA's libdevice, which the CUDA toolkit has and the driver has \
         not; the message names the command that gets it. `device: auto` takes the CPU where no GPU \
         can be used.";
    DeviceFull Error These(&["device"]), "full", "the GPU has no memory left for a process to start":
        "A process takes some 500 MiB before it stores anything. `nvidia-smi` lists the processes that \
         hold the GPU's memory; stop one, or use another GPU: `device: cuda:1`.";
    DeviceNotCompiled Error These(&["device"]), "not_compiled", "this fsct was built without CUDA":
        "Build it with `cargo build --release --features cuda`, or write `device: cpu` or \
         `device: auto`.";
    EpisodeRange Error These(&["episode.k_shot", "episode.n_query", "episode.n_way"]), "range",
        "the least number is above the greatest":
        "Each training episode draws a number from `min` to `max`, both included.";
    TiedToEpisode Error TIED, "tied_to_episode",
        "the method has weights for the ways and shots of training":
        "`fsct` and `profoct` with `method.prototypes: per_way`, as published, have a weight for every \
         shot of every way, so all episodes have the same ways and shots. Write \
         `method.prototypes: shared`, whose models take any, or use one number.";
    ExtendsCycle Error These(&["extends"]), "cycle", "a pipeline extends itself":
        "The files named by `extends` form a chain that must end: the last one extends nothing. The \
         message shows the chain.";
    ExtendsUnreadable Error These(&["extends"]), "unreadable",
        "the pipeline that is extended cannot be read":
        "The path is relative to the file that names it; `~` and `${NAME}` are expanded. It names \
         one YAML file, which may be a part of a pipeline only.";
    ExtendsOutsideFile Error These(&["extends"]), "outside_file",
        "only a pipeline file can extend another":
        "`--set` and the environment change single values. Write `extends: base.yaml` at the top of \
         the file.";
    OneStepAnEpoch Warning These(&["memory.accumulation_steps"]), "one_step",
        "a window is longer than an epoch":
        "An epoch ends the last window early, so there is one optimizer step an epoch whatever the \
         number says.";
    SamePeak Warning These(&["memory.accumulation_steps"]), "same_peak",
        "accumulating whole episodes does not lower the peak":
        "Each episode is as large as before; only the effective batch grows. `accumulation_unit: \
         queries` splits one episode and lowers the peak. Writing `accumulation_unit: episodes` says \
         that the larger batch is meant, and silences this.";
    TooManyParts Error These(&["memory.accumulation_steps", "train.pretrain.batch_size"]), "too_many",
        "an episode has fewer images than micro-batches":
        "With `accumulation_unit: queries` a micro-batch is a part of one episode and holds at least \
         one of its `n_way × (k_shot + n_query)` images.";
    ActivationsOnGpu Error These(&["memory.activations"]), "on_gpu",
        "activations are kept in other types on the CPU only":
        "The GPU's kernels keep activations in the type that they are computed in. There, `amp: f16` halves \
         them, `recompute: block` keeps only the inputs of blocks, and `accumulation_unit: queries` keeps \
         those of a part of the episode.";
    ActivationsOfVit Error These(&["memory.activations"]), "of_vit",
        "a vision transformer keeps its activations as they are computed":
        "Other types are for convolutions and batch norms. Of a vision transformer `recompute: block` keeps only the \
         inputs of blocks, `accumulation_unit: queries` only what a part of the episode needs, which is exact without \
         batch norms, and `amp: f16` halves most of it.";
    UnusedActivations Warning These(&["memory.activations"]), "unused",
        "activations that are computed in 16 bits are kept in 16 bits":
        "With `amp: f16` or `bf16`, `activations: f16` changes nothing. Remove it, or write `int8`.";
    CacheOnCpu Warning These(&["memory.clear_cache_every"]), "on_cpu",
        "the CPU keeps no cache to clear":
        "Freed memory goes back to the allocator at once. The key acts on a GPU only.";
    UnusedLossScale Warning These(&["memory.loss_scale"]), "unused", "only f16 needs a loss scale":
        "f32 and bf16 reach down to 1e-38, where no gradient underflows; f16 ends at 6e-8. Remove \
         `loss_scale`, or choose `amp: f16`.";
    DenseCovariance Warning These(&["method.vic.covariance.form"]), "dense",
        "the covariance matrix of all features is large":
        "It is features × features: 2.35 GiB at 25088 features, and three are alive at once. `gram` \
         computes the same number from a samples × samples matrix.";
    OneShotInvariance Warning These(&["method.vic.invariance.weight"]), "one_shot",
        "with one shot the invariance term is zero":
        "It is the distance of support features to their prototype, and a single shot is its own \
         prototype.";
    MapTooSmall Error These(&["method.kind"]), "map_too_small",
        "the relation module shrinks the features to nothing":
        "It pools twice, so the backbone must leave a map of 4×4 pixels or more. Use larger images, or a backbone with \
         less pooling: the authors' is `conv4np` or, on one channel, `conv4snp`.";
    OneVector Error These(&["method.kind"]), "one_vector",
        "the method compares maps, and the backbone gives a vector":
        "The feature of a vision transformer is its class token: one vector of an image, without places to compare. \
         `ctx` and `relation` need a convolutional backbone; every other method compares vectors.";
    NoGradient Error These(&["method.kind"]), "no_gradient",
        "the method classifies frozen features and cannot train":
        "`logistic`, `knn`, `baseline`, `baseline_plus_plus` and the transductive methods are computed anew from \
         the support of each episode, and no gradient passes through them. Write `train: {epochs: 0, pretrain: {}}`, \
         which trains the backbone as a classifier of the training classes, or `epochs: 0` and a trained backbone \
         in `backbone.weights`. Or train with another method, and test its backbone with \
         `fsct eval RUN --head logistic`.";
    TooManyNeighbors Error These(&["method.n_neighbors"]), "too_many",
        "more neighbours vote than an episode has support images":
        "A test episode has n_way · k_shot support images. If all of them voted, every query would \
         get the same answer.";
    FinetuneWithoutPrototypes Error These(&["method.finetune"]), "without_prototypes",
        "only the prototypes of `protonet` are fine-tuned":
        "Each test episode moves them along the gradient of the loss on its support, under `distance: euclidean`, \
         `cosine` or `scaled_cosine`. `baseline` and `baseline_plus_plus` train a classifier on each support anyway.";
    VicWithoutProfoct Error These(&["method.vic"]), "without_profoct",
        "VIC terms belong to `profoct`":
        "`profoct` is `fsct` with variance, invariance and covariance terms in its loss. With \
         another method the block would do nothing.";
    NotOfThisOptimizer Error These(&[
        "optimizer.betas",
        "optimizer.eps",
        "optimizer.nesterov",
        "train.pretrain.optimizer.betas",
        "train.pretrain.optimizer.eps",
        "train.pretrain.optimizer.nesterov",
    ]),
        "not_of_this_optimizer", "the optimizer does not read this key":
        "`betas` and `eps` belong to `adamw` and `adam`, `nesterov` to `sgd`. Elsewhere the key would \
         do nothing. Remove it, or choose the optimizer that reads it.";
    NesterovWithoutMomentum Error These(&["optimizer.nesterov", "train.pretrain.optimizer.nesterov"]), "no_momentum",
        "Nesterov's method needs momentum":
        "It looks ahead along the velocity, which momentum accumulates. Give `optimizer.momentum` a \
         value above 0, or remove `optimizer.nesterov`.";
    Milestones Error These(&["optimizer.schedule.milestones", "train.pretrain.optimizer.schedule.milestones"]), "order",
        "the milestones are no rising list of epochs":
        "After each of the epochs the learning rate is multiplied by `step_factor`. List at least one \
         epoch, each once, in rising order: `milestones: [30, 40]`.";
    MilestoneNeverReached Warning These(&["optimizer.schedule.milestones", "train.pretrain.optimizer.schedule.milestones"]), "never_reached",
        "a milestone is after the last epoch":
        "Training ends before the learning rate drops there. Remove the milestone, or train longer.";
    MinAboveLearningRate Error These(&["optimizer.schedule.min_learning_rate", "train.pretrain.optimizer.schedule.min_learning_rate"]),
        "above_learning_rate", "the least learning rate is above the learning rate":
        "`optimizer.learning_rate` is where the curve starts, and `min_learning_rate` where it ends at \
         the latest. Lower the second or raise the first.";
    TwoFinalRates Error These(&["optimizer.schedule.min_learning_rate", "train.pretrain.optimizer.schedule.min_learning_rate"]), "two_ends",
        "two keys say where the cosine ends":
        "`final_share` is a share of `optimizer.learning_rate`, `min_learning_rate` a learning rate. \
         Write one of them.";
    NeverRestarts Warning These(&["optimizer.schedule.restart_epochs", "train.pretrain.optimizer.schedule.restart_epochs"]), "never_restarts",
        "the first cycle is as long as training":
        "Nothing restarts: the schedule is a cosine whose end is cut off. Use fewer epochs for the \
         first cycle, or `kind: cosine`, which ends with training.";
    WarmupNeverEnds Warning These(&["optimizer.schedule.warmup_steps", "train.pretrain.optimizer.schedule.warmup_steps"]), "never_ends",
        "the warm-up is longer than training":
        "The learning rate rises in a straight line during the warm-up, so it is never reached. A \
         few percent of the steps are usual.";
    StateOnGpu Error These(&["optimizer.state", "train.pretrain.optimizer.state"]), "on_gpu",
        "an optimizer's averages are in fewer bits than f32 on the CPU only":
        "On a GPU they are f32. Write `optimizer.state: f32`, or `device: cpu`. With `device: auto` a run \
         is refused when it takes the GPU.";
    UntrainedHead Warning These(&["train.epochs", "train.episodes_per_epoch"]), "untrained_head",
        "without training episodes the head keeps its initial weights":
        "`fsct`, `profoct`, `ctx`, `feat` and `relation` have weights of their own, which only episodes train: `train.pretrain` and \
         `backbone.weights` are of the backbone. The accuracy of random weights says nothing about the method. \
         Train on episodes, or use a method without weights of its own, such as `protonet`. `fsct eval RUN` tests \
         a model that is trained already.";
    EarlyStoppingWithoutValidation Error These(&["train.early_stopping"]), "no_validation",
        "early stopping needs validation":
        "It stops training when the validation accuracy no longer improves. Give \
         `validate.episodes` a number, or remove `train.early_stopping`.";
    PatienceNeverEnds Warning These(&["train.early_stopping.patience"]), "never_ends",
        "training ends before it could stop early":
        "Training can stop early only after `patience` epochs without improvement, and the first \
         epoch always counts as one. Use fewer epochs of patience, or train longer.";
    BestWithoutValidation Warning These(&["test.checkpoint", "train.pretrain.checkpoint"]), "no_validation",
        "without validation no checkpoint is the best":
        "The best checkpoint is the one with the highest validation accuracy. Write \
         `checkpoint: last`, or validate.";
}
