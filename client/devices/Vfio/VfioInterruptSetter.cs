using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using IommuFd.Devices.Pci;
using IommuFd.Uapi;

namespace IommuFd.Devices.Vfio;

// The error and request interrupts never come from a device that is here, but programs can test whether they would arrive.

/// <summary>VFIO_DEVICE_SET_IRQS. In the function's loop.</summary>
internal sealed class VfioInterruptSetter(PciFunction function)
{
    private const int None = -1;

    private readonly PciInterrupts _interrupts = function.Interrupts;
    private readonly Dictionary<VfioPciIrq, IInterrupt> _single = [];
    private readonly Dictionary<int, IInterrupt> _targets = [];
    private IInterrupt? _unmask;

    public VfioReply Set(VfioIoctl ioctl, IVfioFiles files)
    {
        var errno = VfioCopy.In(ioctl, VfioDeviceCommand.SetIrqs, out VfioIrqSet set);
        errno = errno == Errno.None ? Check(ioctl, set, out var data) : Fail(errno, out data);
        return new VfioReply(errno == Errno.None ? Run(set, data, files) : errno);
    }

    /// <summary>Ends all interrupts, because the file is closed.</summary>
    public void Clear()
    {
        Disable();
        foreach (var interrupt in _single.Values)
        {
            Dispose(interrupt);
        }

        _single.Clear();
    }

    private static Errno Fail(Errno errno, out ReadOnlyMemory<byte> data)
    {
        data = default;
        return errno;
    }

    // vfio_set_irqs_validate_and_prepare.
    private Errno Check(VfioIoctl ioctl, VfioIrqSet set, out ReadOnlyMemory<byte> data)
    {
        data = default;
        var header = Unsafe.SizeOf<VfioIrqSet>();
        const uint Known = (uint)(VfioIrqSetFlags.DataTypes | VfioIrqSetFlags.ActionTypes);
        if (set.Argsz < header || set.Index >= (uint)VfioPciIrq.Count || set.Count >= uint.MaxValue - set.Start || (set.Flags & ~Known) != 0)
        {
            return Errno.EINVAL;
        }

        var count = VfioInfo.Count(function, (VfioPciIrq)set.Index);
        if (set.Start >= count || set.Start + set.Count > count)
        {
            return Errno.EINVAL;
        }

        uint? size = ((VfioIrqSetFlags)set.Flags & VfioIrqSetFlags.DataTypes) switch
        {
            VfioIrqSetFlags.DataNone => 0U,
            VfioIrqSetFlags.DataBool => 1U,
            VfioIrqSetFlags.DataEventFd => 4U,
            _ => default(uint?),
        };
        if (size is not { } each || set.Argsz - (uint)header < set.Count * each)
        {
            return Errno.EINVAL;
        }

        var length = (int)(set.Count * each);
        if (ioctl.Argument.Length < header + length)
        {
            return Errno.EFAULT;
        }

        data = ioctl.Argument.Slice(header, length);
        return Errno.None;
    }

    // vfio_pci_set_irqs_ioctl.
    private Errno Run(VfioIrqSet set, ReadOnlyMemory<byte> data, IVfioFiles files)
    {
        var (index, type) = ((VfioPciIrq)set.Index, (VfioIrqSetFlags)set.Flags & VfioIrqSetFlags.DataTypes);
        return ((VfioIrqSetFlags)set.Flags & VfioIrqSetFlags.ActionTypes, index) switch
        {
            (VfioIrqSetFlags.ActionMask, VfioPciIrq.Intx) => Mask(set, type, data),
            (VfioIrqSetFlags.ActionUnmask, VfioPciIrq.Intx) => Unmask(set, type, data, files),
            (VfioIrqSetFlags.ActionTrigger, VfioPciIrq.Intx) => TriggerPin(set, type, data, files),
            (VfioIrqSetFlags.ActionTrigger, VfioPciIrq.Msi or VfioPciIrq.Msix) => TriggerMessages(set, type, data, files),
            (VfioIrqSetFlags.ActionTrigger, VfioPciIrq.Err or VfioPciIrq.Req) => TriggerSingle(set, type, data, files),
            _ => Errno.ENOTTY,
        };
    }

    private Errno Mask(VfioIrqSet set, VfioIrqSetFlags type, ReadOnlyMemory<byte> data)
    {
        if (_interrupts.Mode != PciInterruptMode.Intx || set.Start != 0 || set.Count != 1)
        {
            return Errno.EINVAL;
        }

        if (type == VfioIrqSetFlags.DataEventFd)
        {
            return Errno.ENOTTY;
        }

        if (type == VfioIrqSetFlags.DataNone || data.Span[0] != 0)
        {
            _interrupts.MaskPin();
        }

        return Errno.None;
    }

    private Errno Unmask(VfioIrqSet set, VfioIrqSetFlags type, ReadOnlyMemory<byte> data, IVfioFiles files)
    {
        if (_interrupts.Mode != PciInterruptMode.Intx || set.Start != 0 || set.Count != 1)
        {
            return Errno.EINVAL;
        }

        if (type == VfioIrqSetFlags.DataEventFd)
        {
            return UnmaskByEventFd(Descriptor(data, 0), files);
        }

        if (type == VfioIrqSetFlags.DataNone || data.Span[0] != 0)
        {
            _interrupts.UnmaskPin();
        }

        return Errno.None;
    }

    // An eventfd that unmasks when a program, or KVM, signals it.
    private Errno UnmaskByEventFd(int descriptor, IVfioFiles files)
    {
        if (descriptor < 0)
        {
            ForgetUnmask();
            return Errno.None;
        }

        if (_unmask is not null)
        {
            return Errno.EBUSY;
        }

        var found = files.FindInterrupt(descriptor);
        if (found.Value is not { } target)
        {
            return found.Errno;
        }

        if (target is not IUnmaskSource source)
        {
            Dispose(target);
            return Errno.EINVAL;
        }

        _unmask = target;
        source.Watch(() => function.Loop.RunAsync(_interrupts.UnmaskPin));
        return Errno.None;
    }

    private Errno TriggerPin(VfioIrqSet set, VfioIrqSetFlags type, ReadOnlyMemory<byte> data, IVfioFiles files)
    {
        var isPin = _interrupts.Mode == PciInterruptMode.Intx;
        if (isPin && set.Count == 0 && type == VfioIrqSetFlags.DataNone)
        {
            Disable();
            return Errno.None;
        }

        if (_interrupts.Mode is not (PciInterruptMode.Intx or PciInterruptMode.None) || set.Start != 0 || set.Count != 1)
        {
            return Errno.EINVAL;
        }

        if (type == VfioIrqSetFlags.DataEventFd)
        {
            if (!isPin)
            {
                _interrupts.Enable(PciInterruptMode.Intx, 1);
            }

            var errno = SetTarget(0, Descriptor(data, 0), files);
            if (errno != Errno.None && !isPin)
            {
                Disable();
            }

            return errno;
        }

        if (!isPin)
        {
            return Errno.EINVAL;
        }

        Test(0, type, data, 0);
        return Errno.None;
    }

    private Errno TriggerMessages(VfioIrqSet set, VfioIrqSetFlags type, ReadOnlyMemory<byte> data, IVfioFiles files)
    {
        var mode = (VfioPciIrq)set.Index == VfioPciIrq.Msi ? PciInterruptMode.Msi : PciInterruptMode.Msix;
        var isMode = _interrupts.Mode == mode;
        if (isMode && set.Count == 0 && type == VfioIrqSetFlags.DataNone)
        {
            Disable();
            return Errno.None;
        }

        if (!isMode && _interrupts.Mode != PciInterruptMode.None)
        {
            return Errno.EINVAL;
        }

        var (start, end) = ((int)set.Start, (int)(set.Start + set.Count));
        if (type == VfioIrqSetFlags.DataEventFd)
        {
            return SetMessages(mode, isMode, start, end, data, files);
        }

        if (!isMode || end > _interrupts.Enabled)
        {
            return Errno.EINVAL;
        }

        for (var vector = start; vector < end; vector++)
        {
            Test(vector, type, data, vector - start);
        }

        return Errno.None;
    }

    private Errno SetMessages(PciInterruptMode mode, bool isMode, int start, int end, ReadOnlyMemory<byte> data, IVfioFiles files)
    {
        if (!isMode)
        {
            if (end == 0)
            {
                return Errno.ERANGE;
            }

            _interrupts.Enable(mode, end);
        }

        var errno = start >= _interrupts.Enabled || end > _interrupts.Enabled ? Errno.EINVAL : Errno.None;
        for (var vector = start; vector < end && errno == Errno.None; vector++)
        {
            errno = SetTarget(vector, Descriptor(data, vector - start), files);
        }

        if (errno != Errno.None && !isMode)
        {
            Disable();
        }
        else if (errno != Errno.None)
        {
            for (var vector = start; vector < Math.Min(end, _interrupts.Enabled); vector++)
            {
                SetTarget(vector, None, files);
            }
        }

        return errno;
    }

    private Errno TriggerSingle(VfioIrqSet set, VfioIrqSetFlags type, ReadOnlyMemory<byte> data, IVfioFiles files)
    {
        var index = (VfioPciIrq)set.Index;
        if (set.Start != 0 || set.Count > 1)
        {
            return Errno.EINVAL;
        }

        var target = _single.GetValueOrDefault(index);
        if (type == VfioIrqSetFlags.DataNone)
        {
            return target is null ? Errno.EINVAL : set.Count == 0 ? Replace(index, null) : Signal(target);
        }

        if (set.Count == 0)
        {
            return Errno.EINVAL;
        }

        if (type == VfioIrqSetFlags.DataBool)
        {
            return data.Span[0] != 0 && target is not null ? Signal(target) : Errno.None;
        }

        var descriptor = Descriptor(data, 0);
        if (descriptor < 0)
        {
            return descriptor == None ? Replace(index, null) : Errno.None;
        }

        var found = files.FindInterrupt(descriptor);
        return found.Value is { } interrupt ? Replace(index, interrupt) : found.Errno;
    }

    private Errno Replace(VfioPciIrq index, IInterrupt? target)
    {
        if (_single.Remove(index, out var before))
        {
            Dispose(before);
        }

        if (target is not null)
        {
            _single[index] = target;
        }

        return Errno.None;
    }

    private static Errno Signal(IInterrupt target)
    {
        target.Signal();
        return Errno.None;
    }

    private void Test(int vector, VfioIrqSetFlags type, ReadOnlyMemory<byte> data, int item)
    {
        if (type == VfioIrqSetFlags.DataNone || data.Span[item] != 0)
        {
            _interrupts.Test(vector);
        }
    }

    private Errno SetTarget(int vector, int descriptor, IVfioFiles files)
    {
        _interrupts.Set(vector, null);
        if (_targets.Remove(vector, out var before))
        {
            Dispose(before);
        }

        if (descriptor < 0)
        {
            return Errno.None;
        }

        var found = files.FindInterrupt(descriptor);
        if (found.Value is not { } target)
        {
            return found.Errno;
        }

        _targets.Add(vector, target);
        _interrupts.Set(vector, target);
        return Errno.None;
    }

    private void Disable()
    {
        _interrupts.Disable();
        foreach (var target in _targets.Values)
        {
            Dispose(target);
        }

        _targets.Clear();
        ForgetUnmask();
    }

    private void ForgetUnmask()
    {
        Dispose(_unmask);
        _unmask = null;
    }

    private static void Dispose(IInterrupt? interrupt) => (interrupt as IDisposable)?.Dispose();

    private static int Descriptor(ReadOnlyMemory<byte> data, int item) => BinaryPrimitives.ReadInt32LittleEndian(data.Span[(item * sizeof(int))..]);
}

/// <summary>An eventfd that a device can wait for, so that signalling it unmasks the pin.</summary>
public interface IUnmaskSource
{
    /// <summary>Calls back whenever it is signalled, until it is disposed.</summary>
    /// <param name="signalled">What to call. It does not block.</param>
    void Watch(Action signalled);
}
