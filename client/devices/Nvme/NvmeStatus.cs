namespace IommuFd.Devices.Nvme;

/// <summary>What a command is answered: the status code type in bits 8 to 10, the status code below.</summary>
internal enum NvmeStatus
{
    Success = 0x000,
    InvalidOpcode = 0x001,
    InvalidField = 0x002,
    CommandIdConflict = 0x003,
    DataTransferError = 0x004,
    InternalError = 0x006,
    AbortRequested = 0x007,
    AbortedBySqDeletion = 0x008,
    InvalidNamespace = 0x00B,
    SequenceError = 0x00C,
    PrpOffsetInvalid = 0x013,
    LbaOutOfRange = 0x080,
    CompletionQueueInvalid = 0x100,
    InvalidQueueId = 0x101,
    InvalidQueueSize = 0x102,
    AsyncEventLimit = 0x105,
    InvalidVector = 0x108,
    InvalidLogPage = 0x109,
    InvalidQueueDeletion = 0x10C,
    FeatureNotSaveable = 0x10D,
    WriteFault = 0x280,
    UnrecoveredRead = 0x281,
}

/// <summary>How a command has ended.</summary>
/// <param name="Status">Its status.</param>
/// <param name="Value">The first word of the completion.</param>
internal readonly record struct NvmeOutcome(NvmeStatus Status, uint Value = 0)
{
    public static implicit operator NvmeOutcome(NvmeStatus status) => new(status);
}
