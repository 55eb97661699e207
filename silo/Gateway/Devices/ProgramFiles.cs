using IommuFd.Client;
using IommuFd.Devices.Pci;
using IommuFd.Devices.Vfio;
using IommuFd.Silo.Gateway.Descriptors;
using IommuFd.Uapi;

namespace IommuFd.Silo.Gateway.Devices;

/// <summary>What the descriptors in one ioctl of a program lead to.</summary>
/// <param name="contexts">What programs have open.</param>
/// <param name="process">The program; 0 for one on another machine.</param>
/// <param name="named">The descriptor that the argument names, where it is the gateway's; null for another one.</param>
/// <param name="isOpen">Whether that number is open at all.</param>
/// <param name="isTaken">Whether the device's group is open, which gives its devices itself.</param>
internal sealed class ProgramFiles(GatewayContexts contexts, int process, Descriptor? named, bool isOpen, bool isTaken) : IVfioFiles
{
    public async ValueTask<VfioFound<VfioContext>> FindContextAsync(int fileDescriptor, string driver, CancellationToken cancellationToken)
    {
        if (isTaken)
        {
            return new VfioFound<VfioContext>(Errno.EBUSY);
        }

        return named is { Leads: { File: null, IsOfDevices: false } } ? await FindAsync(contexts, named.Opened, driver, cancellationToken)
            : new VfioFound<VfioContext>(isOpen ? Errno.EBADFD : Errno.EBADF);
    }

    /// <summary>A context, for a device that is being bound to it.</summary>
    public static async ValueTask<VfioFound<VfioContext>> FindAsync(GatewayContexts contexts, OpenedContext opened, string driver, CancellationToken cancellationToken)
    {
        try
        {
            return new VfioFound<VfioContext>(
                Errno.None, new VfioContext(await contexts.Files.GetDriverAsync(opened, driver, cancellationToken), new ProgramDmaMemory(contexts.Programs), opened.Fence));
        }
        catch (IommufdException exception)
        {
            return new VfioFound<VfioContext>(exception.Errno);
        }
    }

    public VfioFound<IInterrupt> FindInterrupt(int fileDescriptor) => process == 0 ? new VfioFound<IInterrupt>(Errno.EBADF) : EventFd.Take(process, fileDescriptor);
}
