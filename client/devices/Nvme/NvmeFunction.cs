using IommuFd.Devices.Pci;

namespace IommuFd.Devices.Nvme;

// All of BAR 0 can be mapped, registers and doorbells, since drivers in user space map all of it. So each register is looked at by its value: what it should be stands
// here, and what is there and differs was written. A register that a driver only writes (INTMC) shows 0 so that the same value can be written again.

/// <summary>An NVM Express 1.4 controller with one namespace.</summary>
public sealed class NvmeFunction : PciFunction
{
    /// <summary>I/O queues of each kind that it has.</summary>
    internal const int MaxQueues = 64;

    private const int Vectors = MaxQueues + 1;
    private const ulong MaxBlocks = 1UL << 50;

    private static readonly PciIdentity Kind = new("nvme", PciIdentity.EmulatedVendor, 0x10E0, 0x01_08_02, Vectors);

    private readonly PciBar _bar;
    private readonly NvmeIdentify _identify;
    private readonly NvmeLogs _logs = new();
    private readonly INvmeNamespace _store;
    private NvmeLife? _life;
    private uint _configuration;
    private uint _status;
    private uint _masked;

    /// <summary>Makes one.</summary>
    /// <param name="store">The blocks of its namespace, which are disposed with it.</param>
    /// <param name="id">The identity of the controller and its namespace; null for a new one.</param>
    /// <param name="memory">Makes the memory of BARs; null for memory of this process.</param>
    public NvmeFunction(INvmeNamespace store, Guid? id = null, IBarMemoryFactory? memory = null)
        : base(Kind, memory)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentOutOfRangeException.ThrowIfZero(store.Blocks, nameof(store));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(store.Blocks, MaxBlocks, nameof(store));
        _store = store;
        _identify = new NvmeIdentify(PciIdentity.EmulatedVendor, store.Blocks, id ?? Guid.NewGuid());
        _bar = AddBar(0, NvmeRegister.BarLength, is64Bit: true, new PciBarArea(0, NvmeRegister.BarLength));
        ShowRegisters();
    }

    /// <inheritdoc/>
    public override bool Poll()
    {
        var found = PollRegisters();
        if (_life is { } life)
        {
            for (var queue = 0; queue <= MaxQueues; queue++)
            {
                found |= PollCompletions(life, queue) | PollSubmissions(life, queue);
            }
        }

        return found;
    }

    /// <summary>Something that the host should have prepared can't be reached: only a reset helps.</summary>
    internal void Fail() => SetStatus(_status | NvmeRegister.Fatal);

    /// <summary>A new queue begins with its doorbell at 0.</summary>
    internal void ClearDoorbell(int queue, bool isCompletion) => _bar.Write32(NvmeRegister.Doorbell(queue, isCompletion), 0);

    /// <summary>Tells the host that a queue has new completions.</summary>
    internal void Tell(NvmeLife life, NvmeCompletionQueue queue)
    {
        if (queue.Vector is { } vector)
        {
            if (Interrupts.Mode != PciInterruptMode.Msi || !IsMasked(vector))
            {
                Interrupts.Raise(vector);
            }

            UpdatePin(life);
        }
    }

    /// <summary>The pin is asserted while a queue has completions that the host has not taken.</summary>
    internal void UpdatePin(NvmeLife life)
    {
        if (life == _life && life.Completions.Values.Any(queue => queue is { HasEntries: true, Vector: { } vector } && !IsMasked(vector)) is var isAsserted && isAsserted != Interrupts.IsAsserted)
        {
            Interrupts.SetPin(isAsserted);
        }
    }

    /// <inheritdoc/>
    protected override void OnBarWritten(int index, int offset, int length)
    {
        for (var at = Math.Max(offset & ~3, NvmeRegister.Doorbells); _life is { } life && at < offset + length; at += sizeof(uint))
        {
            var (queue, isCompletion) = Math.DivRem((at - NvmeRegister.Doorbells) / sizeof(uint), 2) is var (number, kind) ? (number, kind == 1) : default;
            if (!(isCompletion ? life.Completions.ContainsKey(queue) : life.Submissions.ContainsKey(queue)))
            {
                life.NoteNoQueue();
            }
        }

        Poll();
    }

    /// <inheritdoc/>
    protected override void OnReset()
    {
        EndLife();
        (_configuration, _status, _masked) = (0, 0, 0);
        _bar.Bytes.Clear();
        ShowRegisters();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        EndLife();
        _store.Dispose();
        base.Dispose(disposing);
    }

    private bool IsMasked(int vector) => vector < 32 && (_masked & (1U << vector)) != 0;

    // A value that a doorbell can't have is told once, and gone.
    private bool PollCompletions(NvmeLife life, int id)
    {
        var offset = NvmeRegister.Doorbell(id, isCompletion: true);
        if (!life.Completions.TryGetValue(id, out var queue) || _bar.Read32(offset) is var head && head == queue.Head)
        {
            return false;
        }

        if (!life.Ring(queue, head))
        {
            _bar.Write32(offset, (uint)queue.Head);
        }

        return true;
    }

    private bool PollSubmissions(NvmeLife life, int id)
    {
        var offset = NvmeRegister.Doorbell(id, isCompletion: false);
        if (!life.Submissions.TryGetValue(id, out var queue) || _bar.Read32(offset) is var tail && tail == queue.Tail)
        {
            return false;
        }

        if (!life.Ring(queue, tail))
        {
            _bar.Write32(offset, (uint)queue.Tail);
        }

        return true;
    }

    private bool PollRegisters()
    {
        var found = false;
        if (_bar.Read32(NvmeRegister.MaskSet) is var set && set != _masked)
        {
            Mask(_masked | set);
            found = true;
        }

        if (_bar.Take32(NvmeRegister.MaskClear) is var clear && clear != 0)
        {
            Mask(_masked & ~clear);
            found = true;
        }

        if (_bar.Read32(NvmeRegister.Configuration) is var configuration && configuration != _configuration)
        {
            Configure(configuration);
            found = true;
        }

        if (_bar.Read64(NvmeRegister.Capabilities) != NvmeRegister.CapabilityValue || _bar.Read32(NvmeRegister.Version) != NvmeRegister.Version14 || _bar.Read32(NvmeRegister.Status) != _status)
        {
            ShowReadOnly();
        }

        return found;
    }

    private void Mask(uint masked)
    {
        var unmasked = _masked & ~masked;
        _masked = masked;
        _bar.Write32(NvmeRegister.MaskSet, masked);
        if (_life is not { } life)
        {
            return;
        }

        UpdatePin(life);
        foreach (var queue in life.Completions.Values)
        {
            if (Interrupts.Mode == PciInterruptMode.Msi && queue is { HasEntries: true, Vector: { } vector and < 32 } && (unmasked & (1U << vector)) != 0)
            {
                Interrupts.Raise(vector);
            }
        }
    }

    private void Configure(uint configuration)
    {
        var before = _configuration;
        _configuration = configuration;
        var (wasEnabled, isEnabled) = ((before & NvmeRegister.Enable) != 0, (configuration & NvmeRegister.Enable) != 0);
        if (wasEnabled && !isEnabled)
        {
            EndLife();
            Interrupts.Reset();
            SetStatus(0);
        }
        else if (!wasEnabled && isEnabled)
        {
            BeginLife();
        }

        if (NvmeRegister.ShutdownOf(configuration) != 0 && NvmeRegister.ShutdownOf(before) == 0)
        {
            Loop.Start(ShutDownAsync);
        }
    }

    private void BeginLife()
    {
        var attributes = _bar.Read32(NvmeRegister.AdminAttributes);
        var (submissions, completions) = ((int)(attributes & 0xFFF) + 1, (int)((attributes >> 16) & 0xFFF) + 1);
        var (submissionAddress, completionAddress) = (_bar.Read64(NvmeRegister.AdminSubmission), _bar.Read64(NvmeRegister.AdminCompletion));
        var isSound = submissions >= 2 && completions >= 2 && (submissionAddress | completionAddress) % NvmeRegister.PageBytes == 0;

        // Command sets, page size and arbitration: 0 is the only one of each.
        if (!isSound || ((_configuration >> 4) & 0x3FF) != 0)
        {
            SetStatus(NvmeRegister.Fatal);
            return;
        }

        _life = new NvmeLife(this, _identify, _logs, _store);
        var queue = new NvmeCompletionQueue(0, completionAddress, completions, 0);
        _life.Add(queue);
        _life.Add(new NvmeSubmissionQueue(0, submissionAddress, submissions, queue));
        SetStatus(NvmeRegister.Ready);
    }

    private void EndLife()
    {
        _life?.Dispose();
        _life = null;
    }

    private async Task ShutDownAsync()
    {
        try
        {
            await _store.FlushAsync(CancellationToken.None);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            _logs.CountMediaError();
        }

        if (NvmeRegister.ShutdownOf(_configuration) != 0)
        {
            SetStatus((_status & ~NvmeRegister.ShutdownMask) | NvmeRegister.ShutdownDone);
        }
    }

    private void SetStatus(uint status)
    {
        _status = status;
        _bar.Write32(NvmeRegister.Status, status);
    }

    private void ShowReadOnly()
    {
        _bar.Write64(NvmeRegister.Capabilities, NvmeRegister.CapabilityValue);
        _bar.Write32(NvmeRegister.Version, NvmeRegister.Version14);
        _bar.Write32(NvmeRegister.Status, _status);
    }

    private void ShowRegisters()
    {
        ShowReadOnly();
        _bar.Write32(NvmeRegister.Configuration, _configuration);
        _bar.Write32(NvmeRegister.MaskSet, _masked);
    }
}
