using IommuFd.Devices.Pci;

namespace IommuFd.Devices.Vfio;

// vfio-pci lets a device sleep by the machine's runtime power management, and wakes it for each call on its file. An emulated device needs no sleep: what can be seen
// is that its dma-bufs are revoked, that entering twice is an error, and that the next call tells the program's eventfd, and ends it then.

/// <summary>Whether a program has let a device sleep (VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY). Thread-safe.</summary>
internal sealed class VfioLowPower
{
    private readonly Lock _lock = new();
    private IInterrupt? _wakeup;

    /// <summary>Whether it is let to.</summary>
    public bool IsEngaged { get; private set; }

    /// <summary>Lets it sleep; false where it may already.</summary>
    /// <param name="wakeup">What is told when it wakes; null for nothing.</param>
    public bool TryEnter(IInterrupt? wakeup)
    {
        lock (_lock)
        {
            if (IsEngaged)
            {
                return false;
            }

            (IsEngaged, _wakeup) = (true, wakeup);
            return true;
        }
    }

    /// <summary>A call wakes it. Where the program is told of that, it may not sleep again by itself.</summary>
    public void Wake()
    {
        lock (_lock)
        {
            if (_wakeup is { } wakeup)
            {
                wakeup.Signal();
                End();
            }
        }
    }

    /// <summary>It may sleep no more.</summary>
    public void Exit()
    {
        lock (_lock)
        {
            End();
        }
    }

    private void End()
    {
        (_wakeup as IDisposable)?.Dispose();
        (IsEngaged, _wakeup) = (false, null);
    }
}
