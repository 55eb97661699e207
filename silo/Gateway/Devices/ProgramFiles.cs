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
internal sealed class ProgramFiles(GatewayContexts contexts, int process, Descriptor? named, bool isOpen) : IVfioFiles
{
    public async ValueTask<VfioFound<VfioContext>> FindContextAsync(int fileDescriptor, string driver, CancellationToken cancellationToken)
    {
        if (named is not { Leads: { File: null, Device: null } })
        {
            return new VfioFound<VfioContext>(isOpen ? Errno.EBADFD : Errno.EBADF);
        }

        try
        {
            return new VfioFound<VfioContext>(
                Errno.None,
                new VfioContext(await contexts.Files.GetDriverAsync(named.Opened, driver, cancellationToken), new ProgramDmaMemory(contexts.Programs), named.Opened.Fence));
        }
        catch (IommufdException exception)
        {
            return new VfioFound<VfioContext>(exception.Errno);
        }
    }

    public VfioFound<IInterrupt> FindInterrupt(int fileDescriptor) => process == 0 ? new VfioFound<IInterrupt>(Errno.EBADF) : EventFd.Take(process, fileDescriptor);
}
