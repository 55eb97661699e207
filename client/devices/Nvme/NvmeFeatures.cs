namespace IommuFd.Devices.Nvme;

/// <summary>The features of a controller (NVM Express 1.4, section 5.21), from one enabling to the next.</summary>
internal sealed class NvmeFeatures(int queues, int vectors, NvmeLogs logs)
{
    private const uint Arbitration = 0x01, PowerManagement = 0x02, TemperatureThreshold = 0x04, ErrorRecovery = 0x05, VolatileWriteCache = 0x06, NumberOfQueues = 0x07;
    private const uint InterruptCoalescing = 0x08, InterruptVector = 0x09, WriteAtomicity = 0x0A, AsyncEvents = 0x0B;
    private const uint Changeable = 1 << 2;
    private const uint OverDefault = 343;

    private readonly Dictionary<(uint Feature, uint Selector), uint> _values = [];

    /// <summary>Whether writes may wait for a flush.</summary>
    public bool HasWriteCache => (Value(VolatileWriteCache, 0) & 1) != 0;

    /// <summary>Whether the host wants an event of a temperature that is past a threshold.</summary>
    public bool WantsTemperatureEvents => (Value(AsyncEvents, 0) & 2) != 0;

    /// <summary>GET FEATURES.</summary>
    public NvmeOutcome Get(NvmeCommand command)
    {
        var (feature, select) = (command.Dword10 & 0xFF, (command.Dword10 >> 8) & 7);
        if (!IsKnown(feature) || select > 3 || (feature == InterruptVector && (command.Dword11 & 0xFFFF) >= vectors))
        {
            return NvmeStatus.InvalidField;
        }

        return new NvmeOutcome(NvmeStatus.Success, select switch
        {
            0 => Value(feature, SelectorOf(feature, command.Dword11)),
            3 => Changeable,
            _ => Default(feature, SelectorOf(feature, command.Dword11)),
        });
    }

    /// <summary>SET FEATURES.</summary>
    /// <param name="command">The command.</param>
    /// <param name="hasQueues">Whether there are I/O queues, whose number can't be set any more.</param>
    public NvmeOutcome Set(NvmeCommand command, bool hasQueues)
    {
        var (feature, value) = (command.Dword10 & 0xFF, command.Dword11);
        if ((command.Dword10 & (1U << 31)) != 0)
        {
            return NvmeStatus.FeatureNotSaveable;
        }

        if (!IsKnown(feature) || (feature == PowerManagement && (value & 0x1F) != 0) || (feature == InterruptVector && (value & 0xFFFF) >= vectors)
            || (feature == TemperatureThreshold && ((value >> 20) & 3) > 1))
        {
            return NvmeStatus.InvalidField;
        }

        if (feature == NumberOfQueues)
        {
            return hasQueues ? NvmeStatus.SequenceError
                : (value & 0xFFFF) == 0xFFFF || value >> 16 == 0xFFFF ? NvmeStatus.InvalidField
                : new NvmeOutcome(NvmeStatus.Success, Default(feature, 0));
        }

        _values[(feature, SelectorOf(feature, value))] = feature == TemperatureThreshold ? value & 0xFFFF : value;
        if (feature == TemperatureThreshold)
        {
            logs.IsTemperatureCritical = NvmeLogs.Temperature >= Value(feature, 0) || NvmeLogs.Temperature <= Value(feature, 1);
        }

        return NvmeStatus.Success;
    }

    private static bool IsKnown(uint feature) => feature is Arbitration or PowerManagement or (>= TemperatureThreshold and <= AsyncEvents);

    // A feature may have several values: a threshold over and one under, and a vector each.
    private static uint SelectorOf(uint feature, uint value) => feature switch
    {
        TemperatureThreshold => (value >> 20) & 1,
        InterruptVector => value & 0xFFFF,
        _ => 0,
    };

    private uint Value(uint feature, uint selector) => _values.TryGetValue((feature, selector), out var value) ? value : Default(feature, selector);

    private uint Default(uint feature, uint selector) => feature switch
    {
        TemperatureThreshold => selector == 0 ? OverDefault : 0,
        VolatileWriteCache => 1,
        NumberOfQueues => (uint)(queues - 1) | ((uint)(queues - 1) << 16),
        InterruptVector => selector,
        _ => 0,
    };
}
