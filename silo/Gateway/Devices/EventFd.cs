using System.Runtime.InteropServices;
using IommuFd.Devices.Pci;
using IommuFd.Devices.Vfio;
using IommuFd.Uapi;
using Microsoft.Win32.SafeHandles;

namespace IommuFd.Silo.Gateway.Devices;

/// <summary>A program's eventfd, of which this process has a copy.</summary>
internal sealed class EventFd : IInterrupt, IUnmaskSource, IDisposable
{
    private const string Link = "anon_inode:[eventfd]";
    private const short CanRead = 1, CanWrite = 4;
    private const int LookMilliseconds = 100;

    private readonly SafeFileHandle _handle;
    private volatile bool _isOver;

    private EventFd(SafeFileHandle handle) => _handle = handle;

    /// <summary>Takes a copy of a program's descriptor.</summary>
    /// <param name="process">The program.</param>
    /// <param name="fileDescriptor">Its number there.</param>
    /// <returns>The eventfd; EBADF for a number that is not open, EINVAL for another file, EPERM where the program may not be looked into.</returns>
    public static VfioFound<IInterrupt> Take(int process, int fileDescriptor)
    {
        using var life = new SafeFileHandle(Native.OpenProcess(process, 0), ownsHandle: true);
        if (life.IsInvalid)
        {
            return new VfioFound<IInterrupt>(Errno.EBADF);
        }

        var copy = new SafeFileHandle(Native.CopyDescriptor(life, fileDescriptor, 0), ownsHandle: true);
        if (copy.IsInvalid)
        {
            return new VfioFound<IInterrupt>((Errno)Marshal.GetLastPInvokeError());
        }

        if (new FileInfo($"/proc/self/fd/{copy.DangerousGetHandle()}").LinkTarget == Link)
        {
            return new VfioFound<IInterrupt>(Errno.None, new EventFd(copy));
        }

        copy.Dispose();
        return new VfioFound<IInterrupt>(Errno.EINVAL);
    }

    /// <summary>Adds 1. An eventfd that has no room for it tells its program already.</summary>
    public unsafe void Signal()
    {
        if (TryBegin(CanWrite, 0))
        {
            var one = 1UL;
            _ = Native.Write(_handle, &one, sizeof(ulong));
            _handle.DangerousRelease();
        }
    }

    /// <inheritdoc/>
    public void Watch(Action signalled) => new Thread(() => WatchUntilOver(signalled)) { Name = "device unmask", IsBackground = true }.Start();

    public void Dispose()
    {
        _isOver = true;
        _handle.Dispose();
    }

    private unsafe void WatchUntilOver(Action signalled)
    {
        while (!_isOver)
        {
            if (TryBegin(CanRead, LookMilliseconds))
            {
                ulong value;
                _ = Native.Read(_handle, &value, sizeof(ulong));
                _handle.DangerousRelease();
                signalled();
            }
        }
    }

    // Whether it can be read or written now, so that doing it does not wait. The caller releases the handle then.
    private unsafe bool TryBegin(short events, int milliseconds)
    {
        try
        {
            var isTaken = false;
            _handle.DangerousAddRef(ref isTaken);
            var request = new Native.PollRequest { FileDescriptor = (int)_handle.DangerousGetHandle(), Events = events };
            if (Native.Poll(&request, 1, milliseconds) > 0 && (request.Returned & events) != 0)
            {
                return true;
            }

            _handle.DangerousRelease();
            return false;
        }
        catch (ObjectDisposedException)
        {
            return false;
        }
    }
}
