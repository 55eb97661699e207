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
    private async ValueTask<IoctlReply> DeviceIoctlAsync(VfioDeviceFile device, IoctlFrame frame)
    {
        var argument = frame.Request.Argument.AsMemory();
        var argsz = argument.Length >= sizeof(uint) ? BitConverter.ToUInt32(argument.Span) : 0;
        argument = argument[..Math.Min(argument.Length, VfioArgument.Length(frame.Request.Command, argsz))];
        var named = frame.FileTicket is { } ticket ? Find(ticket) : null;
        var files = new ProgramFiles(contexts, _program!.Process, named, named is not null || frame.Request.File is not null);
        var reply = await device.IoctlAsync(new VfioIoctl(frame.Request.Command, argument, (int)frame.Request.WritableBytes), files);
        return new IoctlReply { Errno = reply.Errno, ReturnValue = reply.Result, Argument = reply.Argument.IsEmpty ? null : reply.Argument.ToArray() };
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
            request.Tag, request.Bytes, (request.Kind, request.Tag, reply.Errno, count, bytes),
            static (writer, answer) => DeviceFrame.WriteAnswer(writer, answer.Kind, answer.Tag, answer.Errno, answer.count, answer.bytes.AsSpan(0, Math.Min(answer.count, answer.bytes.Length))));
    }

    private void DeviceMap(Request request, DeviceFrame frame)
    {
        var mapping = request.Descriptor is { Leads.Device: { } device } ? device.Map(frame.Offset, frame.Length, isShared: true) : new VfioMapping(Errno.EBADF);
        var path = mapping.Memory is FileBarMemory.Bar bar ? bar.Path : "";
        Finish(
            request.Tag, request.Bytes, (request.Tag, mapping.Errno, path, mapping.Offset),
            static (writer, answer) => DeviceFrame.WriteMapping(writer, answer.Tag, answer.Errno, answer.path, (ulong)answer.Offset));
    }

    // What the ioctl has taken away, or has read the dirty bits of, no device touches after its answer.
    private static Task FenceAsync(OpenedContext opened, IoctlRequest request)
        => opened.FenceIfAny is { } fence
            && (request.Command is (uint)IommuCommand.IoasUnmap or (uint)IommuCommand.Destroy or (uint)IommuCommand.HwptGetDirtyBitmap or (uint)VfioCommand.IommuUnmapDma)
            ? fence.DrainAsync() : Task.CompletedTask;
}
