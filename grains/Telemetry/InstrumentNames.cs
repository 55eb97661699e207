namespace IommuFd.Grains.Telemetry;

/// <summary>
/// The names of the instruments of the meter <c>IommuFd</c> and of their attributes. Units are UCUM's; docs/operations.md says what each
/// counts.
/// </summary>
public static class InstrumentNames
{
    public const string Ioctls = "iommufd.ioctls";
    public const string TurnDuration = "iommufd.turn.duration";
    public const string QueueDuration = "iommufd.queue.duration";
    public const string Contexts = "iommufd.contexts";
    public const string Objects = "iommufd.objects";
    public const string Holds = "iommufd.holds";
    public const string JournalAppendDuration = "iommufd.journal.append.duration";
    public const string JournalCommitSize = "iommufd.journal.commit.size";
    public const string Recoveries = "iommufd.recoveries";
    public const string RecoveryDuration = "iommufd.recovery.duration";
    public const string LeaseExpiries = "iommufd.lease.expiries";
    public const string DmaFaults = "iommufd.dma.faults";

    /// <summary>The command's name, or <c>_OTHER</c>.</summary>
    public const string Command = "iommufd.command";

    /// <summary>The errno's name, or <c>0</c>.</summary>
    public const string Errno = "iommufd.errno";

    /// <summary>The kind of an object: <c>IOAS</c>, <c>HWPT</c>, ...</summary>
    public const string ObjectType = "iommufd.object.type";

    /// <summary><c>durable</c> or <c>volatile</c>.</summary>
    public const string Mode = "iommufd.context.mode";

    /// <summary>Of journals: <c>append</c>, <c>confirm</c>, <c>snapshot</c> or <c>release</c>.</summary>
    public const string Operation = "iommufd.journal.operation";

    /// <summary>The class of an error; absent if there was none.</summary>
    public const string ErrorType = "error.type";
}
