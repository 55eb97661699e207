namespace IommuFd.Devices.Pci;

/// <summary>Tells a program of an interrupt: an eventfd, or a delegate of the SDK's.</summary>
public interface IInterrupt
{
    /// <summary>Signals it. Must not block or throw.</summary>
    void Signal();
}

/// <summary>How a function's interrupts are delivered.</summary>
public enum PciInterruptMode
{
    /// <summary>Not at all.</summary>
    None,

    /// <summary>By its pin.</summary>
    Intx,

    /// <summary>By MSI.</summary>
    Msi,

    /// <summary>By MSI-X.</summary>
    Msix,
}

// A pin has a level: while it is asserted and not masked, it is signalled once and masked, until somebody unmasks it (as VFIO does, which has to mask it since the
// program's handler runs later). A message is signalled when it is raised; one that the MSI-X table masks is pending until it is unmasked.

/// <summary>The interrupts of a function. Used in its loop only.</summary>
public sealed class PciInterrupts
{
    private const int EntryBytes = 16;
    private const int EntryControl = 12;

    private readonly ConfigSpace _config;
    private readonly PciBar _bar;
    private readonly int _pendingOffset;
    private IInterrupt?[] _vectors = [];
    private bool _isMasked;

    internal PciInterrupts(ConfigSpace config, PciBar bar, int count, int pendingOffset)
        => (_config, _bar, Count, _pendingOffset) = (config, bar, count, pendingOffset);

    /// <summary>How many MSI-X vectors there are.</summary>
    public int Count { get; }

    /// <summary>How they are delivered.</summary>
    public PciInterruptMode Mode { get; private set; }

    /// <summary>How many vectors are enabled.</summary>
    public int Enabled => _vectors.Length;

    /// <summary>Whether the pin is asserted.</summary>
    public bool IsAsserted { get; private set; }

    /// <summary>Enables one way of delivery, with so many vectors.</summary>
    internal void Enable(PciInterruptMode mode, int vectors)
    {
        (Mode, _vectors, _isMasked) = (mode, new IInterrupt?[vectors], false);
        SetEnableBits();
        if (mode == PciInterruptMode.Msix)
        {
            for (var vector = 0; vector < Count; vector++)
            {
                _bar.Write32((vector * EntryBytes) + EntryControl, vector < vectors ? 0U : 1U);
            }
        }
    }

    /// <summary>Ends delivery.</summary>
    internal void Disable()
    {
        (Mode, _vectors, _isMasked) = (PciInterruptMode.None, [], false);
        SetEnableBits();
    }

    /// <summary>Says whom a vector tells; null for nobody.</summary>
    internal void Set(int vector, IInterrupt? target)
    {
        _vectors[vector] = target;
        if (Mode == PciInterruptMode.Intx)
        {
            DeliverPin();
        }
    }

    /// <summary>Whether a vector tells anybody.</summary>
    internal bool IsSet(int vector) => _vectors[vector] is not null;

    /// <summary>Tells of a vector, as a test of it, whatever the device does.</summary>
    internal void Test(int vector) => _vectors[vector]?.Signal();

    /// <summary>Masks the pin.</summary>
    internal void MaskPin() => _isMasked = true;

    /// <summary>Unmasks the pin, and tells of it if it is still asserted.</summary>
    internal void UnmaskPin()
    {
        _isMasked = false;
        DeliverPin();
    }

    /// <summary>Raises a message; nothing where interrupts are delivered by the pin.</summary>
    /// <param name="vector">The vector. With fewer MSI vectors than the device uses, several share one.</param>
    public void Raise(int vector)
    {
        if (Mode is PciInterruptMode.None or PciInterruptMode.Intx || _vectors.Length == 0)
        {
            return;
        }

        if (Mode == PciInterruptMode.Msi)
        {
            _vectors[vector % _vectors.Length]?.Signal();
        }
        else if (vector < Count && IsMasked(vector))
        {
            SetPending(vector, true);
        }
        else if (vector < _vectors.Length)
        {
            _vectors[vector]?.Signal();
        }
    }

    /// <summary>Sets the level of the pin.</summary>
    /// <param name="isAsserted">Whether the device has something to tell of.</param>
    public void SetPin(bool isAsserted)
    {
        IsAsserted = isAsserted;
        var status = _config.Get16(PciRegister.Status);
        _config.Set16(PciRegister.Status, (ushort)(isAsserted ? status | PciRegister.StatusInterrupt : status & ~PciRegister.StatusInterrupt));
        DeliverPin();
    }

    /// <summary>Delivers what was pending and is not masked any more: after the table, the function's mask or the pin's was written.</summary>
    internal void Recheck()
    {
        if (Mode == PciInterruptMode.Msix)
        {
            for (var vector = 0; vector < _vectors.Length; vector++)
            {
                if (IsPending(vector) && !IsMasked(vector))
                {
                    SetPending(vector, false);
                    _vectors[vector]?.Signal();
                }
            }
        }

        DeliverPin();
    }

    /// <summary>Forgets what is pending, as a reset does.</summary>
    internal void Reset()
    {
        for (var word = 0; word < (Count + 31) / 32; word++)
        {
            _bar.Write32(_pendingOffset + (word * 4), 0);
        }

        SetPin(false);
    }

    private void DeliverPin()
    {
        if (Mode == PciInterruptMode.Intx && IsAsserted && !_isMasked && _vectors[0] is { } target && (_config.Get16(PciRegister.Command) & PciRegister.CommandIntxDisable) == 0)
        {
            _isMasked = true;
            target.Signal();
        }
    }

    private bool IsMasked(int vector)
        => (_bar.Read32((vector * EntryBytes) + EntryControl) & 1) != 0 || (_config.Get16(_config.Find(PciCapability.Msix) + PciRegister.MsixControl) & PciRegister.MsixFunctionMask) != 0;

    private bool IsPending(int vector) => (_bar.Read32(_pendingOffset + (vector / 32 * 4)) & (1U << (vector % 32))) != 0;

    private void SetPending(int vector, bool isPending)
    {
        var (offset, bit) = (_pendingOffset + (vector / 32 * 4), 1U << (vector % 32));
        _bar.Write32(offset, isPending ? _bar.Read32(offset) | bit : _bar.Read32(offset) & ~bit);
    }

    private void SetEnableBits()
    {
        SetBit(_config.Find(PciCapability.Msi) + PciRegister.MsiControl, PciRegister.MsiEnable, Mode == PciInterruptMode.Msi);
        SetBit(_config.Find(PciCapability.Msix) + PciRegister.MsixControl, PciRegister.MsixEnable, Mode == PciInterruptMode.Msix);
    }

    private void SetBit(int offset, ushort bit, bool isSet)
    {
        var value = _config.Get16(offset);
        _config.Set16(offset, (ushort)(isSet ? value | bit : value & ~bit));
    }
}
