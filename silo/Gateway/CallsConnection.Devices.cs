using IommuFd.Devices.Vfio;
using IommuFd.GrainInterfaces;
using IommuFd.GrainInterfaces.Wire;
using IommuFd.Silo.Gateway.Descriptors;
using IommuFd.Silo.Gateway.Devices;
using IommuFd.Uapi;

namespace IommuFd.Silo.Gateway;

// The requests of a device file. They run in its order, as those of a context do.

internal sealed partial class CallsConnection
{
    private async ValueTask<IoctlReply> DeviceIoctlAsync(OpenedFile file, IoctlFrame frame)
    {
        if (file.DmaBuf is not null)
        {
            return new IoctlReply { Errno = Errno.ENOTTY };
        }

        var argument = frame.Request.Argument.AsMemory();
        var named = frame.FileTicket is { } ticket ? Find(ticket) : null;
        var isOpen = named is not null || frame.Request.File is not null;
        var ioctl = new VfioIoctl(frame.Request.Command, argument, (int)frame.Request.WritableBytes);
        var reply = file.Device is null ? await file.Group!.IoctlAsync(ioctl, named, isOpen)
            : file.Group is not null && (VfioDeviceCommand)ioctl.Command is VfioDeviceCommand.AttachIommufdPt or VfioDeviceCommand.DetachIommufdPt
                ? new VfioReply(Errno.ENOTTY)
            : await DeviceIoctlAsync(file.Device, ioctl, new ProgramFiles(contexts, _program!.Process, named, isOpen, file.Group is null && contexts.Files.IsGroupOpen(file.Device.Device)));
        return new IoctlReply
        {
            Errno = reply.Errno,
            ReturnValue = reply.Result,
            Argument = reply.Argument.IsEmpty ? null : reply.Argument.ToArray(),
            File = reply.DmaBuf is null ? null : new NewFile(reply.DmaBuf.File),
        };
    }

    private static ValueTask<VfioReply> DeviceIoctlAsync(VfioDeviceFile device, VfioIoctl ioctl, ProgramFiles files)
    {
        var argsz = ioctl.Argument.Length >= sizeof(uint) ? BitConverter.ToUInt32(ioctl.Argument.Span) : 0;
        return device.IoctlAsync(ioctl with { Argument = ioctl.Argument[..Math.Min(ioctl.Argument.Length, VfioArgument.Length(ioctl.Command, argsz))] }, files);
    }

    private async Task DeviceFileAsync(Request request, DeviceFrame frame)
    {
        var reply = new VfioReply(Errno.EBADF);
        var bytes = Array.Empty<byte>();
        try
        {
            if (request.Descriptor is { Leads.Device: { } device })
            {
                bytes = frame.Content is null ? new byte[frame.Length] : [];
                reply = await (frame.Content is { } content ? device.WriteAsync(frame.Offset, content) : device.ReadAsync(frame.Offset, bytes));
            }
        }
        catch (Exception exception)
        {
            NoteUnexpected(exception);
            reply = new VfioReply(ErrnoOf(exception));
        }

        var count = reply.Errno == Errno.None ? reply.Result : 0;
        Finish(
            request, (request.Kind, request.Tag, reply.Errno, count, bytes),
            static (writer, answer) => DeviceFrame.WriteAnswer(writer, answer.Kind, answer.Tag, answer.Errno, answer.count, answer.bytes.AsSpan(0, Math.Min(answer.count, answer.bytes.Length))));
    }

    private void Map(Request request, DeviceFrame frame)
    {
        var (errno, path, offset) = (Errno.EBADF, "", 0UL);
        switch (request.Descriptor)
        {
            case { Leads.Device: { } device }:
                var mapping = device.Map(frame.Offset, frame.Length, isShared: true);
                (errno, path, offset) = (mapping.Errno, mapping.Memory is FileBarMemory.Bar bar ? bar.Path : "", (ulong)mapping.Offset);
                break;

            case { File: null, Leads.IsOfDevices: false } context:
                errno = context.Opened.Pages.Map(frame.Offset, frame.Length, out path);
                contexts.Recording?.Miss("pages of a vIOMMU were mapped, of which traces know nothing");
                break;
        }

        Finish(
            request, (request.Tag, errno, path, offset),
            static (writer, answer) => DeviceFrame.WriteMapping(writer, answer.Tag, answer.errno, answer.path, answer.offset));
    }

    private static IoctlDiagnostic PagesMapped(uint viommu)
        => new() { Reason = DiagnosticReason.PagesMapped, ObjectType = ObjectType.Viommu, ObjectId = new ObjectId(viommu) };

    // What the ioctl has taken away, or has read the dirty bits of, no device touches after its answer.
    private static Task FenceAsync(OpenedContext opened, IoctlRequest request)
        => opened.FenceIfAny is { } fence
            && (request.Command is (uint)IommuCommand.IoasUnmap or (uint)IommuCommand.Destroy or (uint)IommuCommand.HwptGetDirtyBitmap or (uint)VfioCommand.IommuUnmapDma)
            ? fence.DrainAsync() : Task.CompletedTask;
}
